module github.com/quietws/quietws

go 1.25.0
