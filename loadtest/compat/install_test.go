package compat

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tidelinehq/tideline/internal/devtools"
)

// installTimeout bounds one installation: downloads over a slow line.
const installTimeout = 10 * time.Minute

// An installation is a directory below .tools/compat, named after the hash of what decides its content.
type installation struct {
	once sync.Once
	dir  string
	err  error
}

// get fills the directory with fill when it is not there yet, and returns it. Test binaries that come at the same time wait for one.
func (i *installation) get(t testing.TB, name string, pins []string, fill func(ctx context.Context, dir string) error) string {
	t.Helper()
	i.once.Do(func() { i.dir, i.err = install(name, pins, fill) })
	if i.err != nil {
		t.Fatalf("%s cannot be had: %v", name, i.err)
	}
	return i.dir
}

func install(name string, pins []string, fill func(ctx context.Context, dir string) error) (dir string, err error) {
	root, err := devtools.Root()
	if err != nil {
		return "", err
	}
	hash := sha256.New()
	for _, pin := range pins {
		fmt.Fprintf(hash, "%d %s\n", len(pin), pin)
	}
	base := filepath.Join(root, ".tools", "compat")
	dir = filepath.Join(base, name+"-"+hex.EncodeToString(hash.Sum(nil)[:6]))
	if err := os.MkdirAll(base, 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(filepath.Join(base, "."+name+".lock"))
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return dir, err
	}
	stage, err := os.MkdirTemp(base, ".stage-")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(stage)) }()
	ctx, cancel := context.WithTimeout(context.Background(), installTimeout)
	defer cancel()
	if err := fill(ctx, stage); err != nil {
		return "", err
	}
	return dir, os.Rename(stage, dir)
}

// lock takes an exclusive lock between processes.
func lock(path string) (unlock func() error, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f.Close, nil
}

// run runs a program of an installation. Its output is in the error.
func run(ctx context.Context, dir string, argv ...string) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = dir
	if output, err := cmd.CombinedOutput(); err != nil {
		if len(output) > 4000 {
			output = output[len(output)-4000:]
		}
		return fmt.Errorf("%s: %w output=%s", strings.Join(argv, " "), errors.Join(err, ctx.Err()), output)
	}
	return nil
}

func read(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func absolute(t testing.TB, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var installed struct{ jars, extras, quickstart, flink, classes, python, node, golang, kcat installation }

// jars is the directory of Apache Kafka's jars, which the benchmarks use, too.
func jars(t testing.TB) string {
	t.Helper()
	i := &installed.jars
	i.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), installTimeout)
		defer cancel()
		var stderr bytes.Buffer
		cmd := exec.CommandContext(ctx, "../../scripts/kafka.sh")
		cmd.Stderr = &stderr
		output, err := cmd.Output()
		if err != nil {
			i.err = fmt.Errorf("%w output=%s", errors.Join(err, ctx.Err()), stderr.Bytes())
			return
		}
		i.dir = string(bytes.TrimSpace(output))
	})
	if i.err != nil {
		t.Fatalf("Apache Kafka cannot be had: %v", i.err)
	}
	return i.dir
}

// classes is the directory of the compiled Java programs.
func classes(t testing.TB) string {
	lib, pins := jars(t), []string{read(t, absolute(t, "pom.xml"))}
	sources, err := filepath.Glob(absolute(t, "clients/java") + "/*.java")
	if err != nil {
		t.Fatal(err)
	}
	for _, source := range sources {
		pins = append(pins, read(t, source))
	}
	return installed.classes.get(t, "java", pins, func(ctx context.Context, dir string) error {
		return run(ctx, dir, append([]string{"javac", "-nowarn", "-cp", filepath.Join(lib, "*"), "-d", dir}, sources...)...)
	})
}

// extras is the directory of what extras.xml names, unpacked: lib has the jars, postgres PostgreSQL, plugins Debezium's connectors.
func extras(t testing.TB) string {
	pom := absolute(t, "extras.xml")
	return installed.extras.get(t, "extras", []string{read(t, pom)}, func(ctx context.Context, dir string) error {
		fetched := filepath.Join(dir, "fetched")
		err := run(ctx, dir, "mvn", "--quiet", "--batch-mode", "--file", pom, "dependency:copy-dependencies", "-DexcludeTransitive=true", "-DoutputDirectory="+fetched)
		if err != nil {
			return err
		}
		for _, sub := range []string{"lib", "postgres", "plugins"} {
			if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
				return err
			}
		}
		return run(ctx, dir, "sh", "-ec", `
			mv fetched/slf4j-simple-*.jar lib
			for plugin in fetched/*.tar.gz; do tar -xzf "$plugin" -C plugins; done
			cd postgres
			jar xf ../fetched/embedded-postgres-binaries-*.jar
			tar -xJf postgres-*.txz
			rm -r postgres-*.txz META-INF ../fetched`)
	})
}

// quickstartJars is the directory of the jars that quickstart.xml names.
func quickstartJars(t testing.TB) string {
	pom := absolute(t, "quickstart.xml")
	return installed.quickstart.get(t, "quickstart", []string{read(t, pom)}, func(ctx context.Context, dir string) error {
		return run(ctx, dir, "mvn", "--quiet", "--batch-mode", "--file", pom, "dependency:copy-dependencies", "-DexcludeTransitive=true", "-DoutputDirectory="+dir)
	})
}

// python is the interpreter of the virtual environment.
func python(t testing.TB) string {
	requirements := absolute(t, "clients/python/requirements.txt")
	dir := installed.python.get(t, "python", []string{read(t, requirements)}, func(ctx context.Context, dir string) error {
		if err := run(ctx, dir, "python3", "-m", "venv", dir); err != nil {
			return err
		}
		return run(ctx, dir, filepath.Join(dir, "bin", "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", requirements)
	})
	return filepath.Join(dir, "bin", "python")
}

// node is the directory of the npm packages.
func node(t testing.TB) string {
	manifest, pinned := read(t, "clients/node/package.json"), read(t, "clients/node/package-lock.json")
	dir := installed.node.get(t, "node", []string{manifest, pinned}, func(ctx context.Context, dir string) error {
		for name, content := range map[string]string{"package.json": manifest, "package-lock.json": pinned} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
				return err
			}
		}
		return run(ctx, dir, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
	})
	return filepath.Join(dir, "node_modules")
}

// golang is the directory of the Go workers, built for this run: the go command knows what is new.
func golang(t testing.TB) string {
	i := &installed.golang
	i.once.Do(func() {
		if i.dir, i.err = os.MkdirTemp("", "tideline-compat-"); i.err != nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), installTimeout)
		defer cancel()
		i.err = run(ctx, ".", "go", "build", "-o", i.dir, "./clients/franz", "./clients/sarama")
	})
	if i.err != nil {
		t.Fatal(i.err)
	}
	return i.dir
}

// kcat is the path of kcat, installed from Debian when it is missing.
func kcat(t testing.TB) string {
	i := &installed.kcat
	i.once.Do(func() {
		if i.dir, i.err = exec.LookPath("kcat"); i.err == nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), installTimeout)
		defer cancel()
		if i.err = run(ctx, ".", "apt-get", "update", "-q"); i.err != nil {
			return
		}
		if i.err = run(ctx, ".", "apt-get", "install", "-q", "-y", "--no-install-recommends", "kcat"); i.err == nil {
			i.dir, i.err = exec.LookPath("kcat")
		}
	})
	if i.err != nil {
		t.Fatalf("kcat cannot be had: %v", i.err)
	}
	return i.dir
}

func TestMain(m *testing.M) {
	code := m.Run()
	if dir := installed.golang.dir; dir != "" {
		if err := os.RemoveAll(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}
