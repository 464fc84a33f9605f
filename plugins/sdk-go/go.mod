module mapper-host/mapper

go 1.24
