module {{name}}

go 1.24

require mapper-host/mapper v0.0.0

replace mapper-host/mapper => ./mapper
