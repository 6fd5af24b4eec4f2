package compat

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	_ "github.com/lib/pq" // the driver of database/sql
	"github.com/tidelinehq/tideline/internal/freeport"
)

// nobody is whom PostgreSQL runs as when the tests run as root, which it refuses.
const nobody = 65534

// postgres is a PostgreSQL of the test's own.
type postgres struct {
	host, port string
	db         *sql.DB
}

// startPostgres makes a database that can be followed by its write-ahead log, and serves it.
func startPostgres(t *testing.T) *postgres {
	t.Helper()
	// Not below t.TempDir, which only its owner may enter.
	dir, err := os.MkdirTemp("", "tideline-postgres-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.CopyFS(filepath.Join(dir, "program"), os.DirFS(filepath.Join(extras(t), "postgres"))); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	command := func(program string, args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(dir, "program", "bin", program), args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "LC_ALL=C")
		if os.Geteuid() == 0 {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		}
		return cmd
	}
	if os.Geteuid() == 0 {
		for path, mode := range map[string]os.FileMode{dir: 0o755, data: 0o700} {
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
			if err := os.Chown(path, nobody, nobody); err != nil {
				t.Fatal(err)
			}
		}
	}
	if output, err := command("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync").CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, output)
	}
	p := &postgres{}
	if p.host, p.port, err = net.SplitHostPort(freeport.ForTest(t, 1)[0]); err != nil {
		t.Fatal(err)
	}
	startProgram(t, "postgres", command("postgres", "-D", data, "-p", p.port, "-c", "listen_addresses="+p.host, "-c", "unix_socket_directories=",
		"-c", "wal_level=logical", "-c", "fsync=off", "-c", "shared_buffers=16MB"), nil)
	if p.db, err = sql.Open("postgres", fmt.Sprintf("host=%s port=%s user=postgres dbname=postgres sslmode=disable connect_timeout=5", p.host, p.port)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.db.Close(); err != nil {
			t.Error(err)
		}
	})
	eventually(t, workerTimeout, func() string {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := p.db.PingContext(ctx); err != nil {
			return fmt.Sprintf("PostgreSQL does not serve: %v", err)
		}
		return ""
	})
	return p
}

func (p *postgres) exec(t testing.TB, statement string, args ...any) {
	t.Helper()
	if _, err := p.db.ExecContext(t.Context(), statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// rows are the lines of a query's first column.
func (p *postgres) rows(t testing.TB, query string) ([]string, error) {
	t.Helper()
	rows, err := p.db.QueryContext(t.Context(), query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var one string
		if err := rows.Scan(&one); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}
