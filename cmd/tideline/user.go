package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Errors of commands that find nothing to do.
var (
	errNoSuchQuota = errors.New("no such quota")
	errNoSuchUser  = errors.New("no such user")
	errNoSuchKey   = errors.New("no password for the mechanism")
)

// userCommand is `tideline user`.
func (p *program) userCommand() *cobra.Command {
	return p.group("user", "List users, set their passwords, and delete them",
		p.userListCommand(), p.userSetPasswordCommand(), p.userDeleteCommand())
}

// mechanisms is a list of SCRAM mechanisms.
type mechanisms []kadm.ScramMechanism

func (m *mechanisms) String() string { return strings.Join(m.names(), ",") }
func (m *mechanisms) Type() string   { return "SCRAM-SHA-256|SCRAM-SHA-512" }

func (m *mechanisms) names() []string {
	var out []string
	for _, x := range *m {
		out = append(out, x.String())
	}
	return out
}

// Set is called for each --mechanism.
func (m *mechanisms) Set(text string) error {
	for _, x := range everyMechanism {
		if strings.EqualFold(text, x.String()) {
			if !slices.Contains(*m, x) {
				*m = append(*m, x)
			}
			return nil
		}
	}
	return errors.New("allowed are SCRAM-SHA-256 and SCRAM-SHA-512")
}

var everyMechanism = mechanisms{kadm.ScramSha256, kadm.ScramSha512}

func mechanismFlag(flags *pflag.FlagSet, what string) *mechanisms {
	m := new(mechanisms)
	flags.VarP(m, "mechanism", "m", what+"; may be given again (default both)")
	return m
}

// describedUser is one user in the JSON of `user list`.
type describedUser struct {
	User        string          `json:"user"`
	Credentials []userMechanism `json:"credentials"`
}

type userMechanism struct {
	Mechanism  string `json:"mechanism"`
	Iterations int32  `json:"iterations"`
}

func (p *program) userListCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "list [USER…]",
		Short: "List the users that have a password, and the mechanisms for which they have it",
	}
	conn := p.connectionFlags(c.Flags())
	c.RunE = p.does(func(ctx context.Context, users []string) error {
		return conn.admin(ctx, func(ctx context.Context, admin *kadm.Client) error {
			described, err := admin.DescribeUserSCRAMs(ctx, users...)
			if err != nil {
				return err
			}
			list := []describedUser{}
			t := newTable("USER", "MECHANISM", "ITERATIONS")
			for _, u := range described.Sorted() {
				if u.Err != nil {
					return userError(u.User, u.Err, u.ErrMessage)
				}
				d := describedUser{User: u.User, Credentials: []userMechanism{}}
				slices.SortFunc(u.CredInfos, func(a, b kadm.CredInfo) int { return int(a.Mechanism) - int(b.Mechanism) })
				for _, x := range u.CredInfos {
					d.Credentials = append(d.Credentials, userMechanism{x.Mechanism.String(), x.Iterations})
					t.add(u.User, x.Mechanism, x.Iterations)
				}
				list = append(list, d)
			}
			return p.show(conn.output, list, t)
		})
	})
	return c
}

// userError says what is wrong with a user in fewer words than the code.
func userError(user string, err error, message string) error {
	if errors.Is(err, kerr.ResourceNotFound) {
		return answered(user, errNoSuchUser, "")
	}
	return answered(user, err, message)
}

func (p *program) userSetPasswordCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "set-password USER",
		Short: "Set the password of a user, who needs not be there",
		Long: "Set the password of a user, who needs not be there.\n\n" +
			"The password comes from a file, from the variable TIDELINE_USER_PASSWORD, or from a line of standard\n" +
			"input; never from a flag, which everybody on the machine could read. It is salted and iterated here:\n" +
			"the brokers get, and keep, only what follows from it.",
		Example: "  tideline user set-password alice\n" +
			"  tideline user set-password alice --password-file secret.txt --mechanism SCRAM-SHA-512",
		Args: cobra.ExactArgs(1),
	}
	conn := p.connectionFlags(c.Flags())
	chosen := mechanismFlag(c.Flags(), "for which `mechanism`")
	file := c.Flags().String("password-file", "", "`file` with the password")
	iterations := c.Flags().Int32("iterations", 4096, "`number` of iterations, 4096 to 16384")
	c.RunE = p.does(func(ctx context.Context, args []string) error {
		if *iterations < 4096 || *iterations > 16384 {
			return usagef("--iterations is from 4096 to 16384, got %d", *iterations)
		}
		password, err := p.newPassword(*file)
		if err != nil {
			return err
		}
		if len(*chosen) == 0 {
			*chosen = everyMechanism
		}
		return conn.admin(ctx, func(ctx context.Context, admin *kadm.Client) error {
			d := describedUser{User: args[0], Credentials: []userMechanism{}}
			t := newTable("USER", "MECHANISM", "ITERATIONS")
			// One request for each: brokers refuse one that names a user twice.
			for _, m := range *chosen {
				answers, err := admin.AlterUserSCRAMs(ctx, nil, []kadm.UpsertSCRAM{{User: args[0], Mechanism: m, Iterations: *iterations, Password: password}})
				if err != nil {
					return err
				}
				for _, a := range answers {
					if a.Err != nil {
						return userError(a.User, a.Err, a.ErrMessage)
					}
				}
				d.Credentials = append(d.Credentials, userMechanism{m.String(), *iterations})
				t.add(args[0], m, *iterations)
			}
			return p.show(conn.output, d, t)
		})
	})
	return c
}

func (p *program) userDeleteCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "delete USER…",
		Short: "Delete the passwords of users",
		Args:  cobra.MinimumNArgs(1),
	}
	conn := p.connectionFlags(c.Flags())
	chosen := mechanismFlag(c.Flags(), "only for which `mechanism`")
	c.RunE = p.does(func(ctx context.Context, users []string) error {
		return conn.admin(ctx, func(ctx context.Context, admin *kadm.Client) error {
			described, err := admin.DescribeUserSCRAMs(ctx, users...)
			if err != nil {
				return err
			}
			type deleted struct {
				User      string `json:"user"`
				Mechanism string `json:"mechanism"`
			}
			list := []deleted{}
			t := newTable("USER", "MECHANISM")
			var failures []error
			for _, u := range described.Sorted() {
				if u.Err != nil {
					failures = append(failures, userError(u.User, u.Err, u.ErrMessage))
					continue
				}
				found := false
				for _, x := range u.CredInfos {
					if len(*chosen) > 0 && !slices.Contains(*chosen, x.Mechanism) {
						continue
					}
					found = true
					answers, err := admin.AlterUserSCRAMs(ctx, []kadm.DeleteSCRAM{{User: u.User, Mechanism: x.Mechanism}}, nil)
					if err != nil {
						return err
					}
					if a := answers[u.User]; a.Err != nil {
						failures = append(failures, userError(u.User, a.Err, a.ErrMessage))
						continue
					}
					list = append(list, deleted{u.User, x.Mechanism.String()})
					t.add(u.User, x.Mechanism)
				}
				if !found {
					failures = append(failures, answered(u.User, errNoSuchKey, chosen.String()))
				}
			}
			if len(list) > 0 {
				failures = append(failures, p.show(conn.output, list, t))
			}
			return joinErrors(failures)
		})
	})
	return c
}
