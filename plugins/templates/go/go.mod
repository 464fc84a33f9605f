module {{name}}

go 1.24

require mapper-host.internal/mapper v0.1.0

replace mapper-host.internal/mapper => ./mapper
