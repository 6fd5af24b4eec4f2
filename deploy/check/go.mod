module github.com/tidelinehq/tideline/deploy/check

go 1.26.0
