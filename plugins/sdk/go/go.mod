module mapper-host.internal/mapper

go 1.24
