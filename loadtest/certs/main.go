package main

import (
	"crypto/x509/pkix"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/tidelinehq/tideline/internal/pki"
)

func main() {
	dir := flag.String("dir", ".data/certs", "where the files go")
	hosts := flag.String("hosts", "localhost,127.0.0.1,::1", "what the broker is reached by, separated by commas")
	password := flag.String("password", "changeit", "of the PKCS12 files")
	flag.Parse()
	if err := write(*dir, strings.Split(*hosts, ","), *password); err != nil {
		fmt.Fprintln(os.Stderr, "certs:", err)
		os.Exit(1)
	}
	fmt.Printf("%s: ca, broker, alice and bob, each as .pem, .key and .p12 (password %s)\n", *dir, *password)
}

func write(dir string, hosts []string, password string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	ca, err := pki.ReadAuthority(dir, "ca")
	if errors.Is(err, os.ErrNotExist) {
		ca, err = pki.NewAuthority("Tideline test authority")
	}
	if err != nil {
		return err
	}
	if err := ca.Write(dir, "ca", password); err != nil {
		return err
	}
	for name, subject := range map[string]pki.Subject{
		"broker": {Name: pkix.Name{CommonName: "broker", Organization: []string{"Tideline"}}, Hosts: hosts},
		"alice":  {Name: pkix.Name{CommonName: "alice", OrganizationalUnit: []string{"clients"}, Organization: []string{"Tideline"}}},
		"bob":    {Name: pkix.Name{CommonName: "bob", OrganizationalUnit: []string{"clients"}, Organization: []string{"Tideline"}}},
	} {
		issued, err := ca.Issue(subject)
		if err != nil {
			return err
		}
		if err := issued.Write(dir, name, password); err != nil {
			return err
		}
	}
	return nil
}
