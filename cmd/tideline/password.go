package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// maxPassword bounds what is read for a password.
const maxPassword = 64 << 10

// newPassword returns the password that is to be set: from a file, from the environment, or
// from standard input, which is asked twice without an echo when it is a terminal.
func (p *program) newPassword(file string) (string, error) {
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("--password-file: %w", err)
		}
		return checkPassword(strings.TrimRight(string(text), "\r\n"))
	}
	if password := p.getenv("TIDELINE_USER_PASSWORD"); password != "" {
		return password, nil
	}
	if in, ok := p.stdin.(*os.File); ok && term.IsTerminal(int(in.Fd())) {
		return p.askPassword(in)
	}
	line, err := bufio.NewReader(io.LimitReader(p.stdin, maxPassword)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the password: %w", err)
	}
	return checkPassword(strings.TrimRight(line, "\r\n"))
}

func checkPassword(password string) (string, error) {
	if password == "" {
		return "", usagef("the password is missing: --password-file, TIDELINE_USER_PASSWORD, or a line of standard input")
	}
	return password, nil
}

// askPassword asks at a terminal.
func (p *program) askPassword(in *os.File) (string, error) {
	ask := func(prompt string) (string, error) {
		fmt.Fprint(p.stderr, prompt)
		text, err := term.ReadPassword(int(in.Fd()))
		fmt.Fprintln(p.stderr)
		if err != nil {
			return "", fmt.Errorf("read the password: %w", err)
		}
		return string(text), nil
	}
	first, err := ask("Password: ")
	if err != nil {
		return "", err
	}
	if _, err := checkPassword(first); err != nil {
		return "", err
	}
	again, err := ask("Once more: ")
	if err != nil {
		return "", err
	}
	if first != again {
		return "", usagef("the two passwords differ")
	}
	return first, nil
}
