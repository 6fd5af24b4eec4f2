package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	var err error
	switch {
	case len(os.Args) > 1 && os.Args[1] == "install":
		err = install(os.Args[2:])
	case os.Getenv("TF_PLUGIN_MAGIC_COOKIE") != "":
		err = serve()
	default:
		fmt.Fprintln(os.Stderr, "usage: terraform-provider-schema install -mirror DIR -typings DIR MODULE...")
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "terraform-provider-schema: %v\n", err)
		os.Exit(1)
	}
}

func install(args []string) error {
	flags := flag.NewFlagSet("install", flag.ExitOnError)
	mirror := flags.String("mirror", "", "directory of the mirror to write")
	typings := flags.String("typings", "", "directory of the archives")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *mirror == "" || *typings == "" || flags.NArg() == 0 {
		return fmt.Errorf("install needs -mirror, -typings and modules")
	}
	archives, err := filepath.Glob(filepath.Join(*typings, "cdktf-provider-*.tgz"))
	if err != nil {
		return err
	}
	wanted, err := used(flags.Args())
	if err != nil {
		return err
	}
	for _, archive := range archives {
		p, err := read(archive, wanted)
		if err != nil {
			return fmt.Errorf("%w archive=%s", err, archive)
		}
		if err := put(p, *mirror); err != nil {
			return err
		}
		fmt.Printf("hashicorp/%s %s: the schema of %d resources and %d data sources\n", p.Name, p.Version, len(p.Resources), len(p.Data))
	}
	return nil
}
