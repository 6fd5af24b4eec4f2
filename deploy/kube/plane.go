package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/tidelinehq/tideline/internal/child"
	"github.com/tidelinehq/tideline/internal/freeport"
)

// plane is a control plane that runs.
type plane struct {
	programs, dir, kubeconfig string
	client                    *kubernetes.Clientset
	processes                 []*process // in the order of their start
}

type process struct {
	*child.Process
	name string
	log  *os.File
}

// startPlane starts one in an empty directory. What was started is to be stopped also when it fails.
func startPlane(ctx context.Context, programs, dir string) (*plane, error) {
	p := &plane{programs: programs, dir: dir, kubeconfig: filepath.Join(dir, "kubeconfig")}
	free, err := freeport.Take("127.0.0.1", 3)
	if err != nil {
		return p, err
	}
	_, secure, err := net.SplitHostPort(free[2])
	if err != nil {
		return p, err
	}
	url := func(i int) string { return "http://" + free[i] }
	if err := p.start(filepath.Join(programs, "etcd"),
		"--data-dir", filepath.Join(dir, "etcd"), "--unsafe-no-fsync", "--listen-client-urls", url(0), "--advertise-client-urls", url(0),
		"--listen-peer-urls", url(1), "--initial-advertise-peer-urls", url(1), "--initial-cluster", "default="+url(1)); err != nil {
		return p, err
	}
	private, public, err := p.accountKeys()
	if err != nil {
		return p, err
	}
	tokens, err := p.login("https://" + free[2])
	if err != nil {
		return p, err
	}
	if err := p.start(filepath.Join(programs, "kube-apiserver"),
		"--etcd-servers", url(0), "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--secure-port="+secure,
		"--endpoint-reconciler-type=none", "--cert-dir", filepath.Join(dir, "certificates"), "--token-auth-file", tokens, "--authorization-mode=RBAC",
		"--service-cluster-ip-range=10.96.0.0/16", "--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file", public, "--service-account-signing-key-file", private); err != nil {
		return p, err
	}
	config, err := clientcmd.BuildConfigFromFlags("", p.kubeconfig)
	if err != nil {
		return p, err
	}
	config.QPS, config.Burst = 200, 400
	if p.client, err = kubernetes.NewForConfig(config); err != nil {
		return p, err
	}
	if err := p.await(ctx, "the API server", func(ctx context.Context) (bool, error) {
		_, err := p.client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
		return err == nil, nil
	}); err != nil {
		return p, err
	}
	for name, more := range map[string][]string{
		// Nobody renews the leases of the nodes.
		"kube-controller-manager": {"--service-account-private-key-file", private, "--node-monitor-grace-period=24h"},
		"kube-scheduler":          nil,
	} {
		arguments := append([]string{"--kubeconfig", p.kubeconfig, "--leader-elect=false", "--secure-port=0"}, more...)
		if err := p.start(filepath.Join(programs, name), arguments...); err != nil {
			return p, err
		}
	}
	return p, nil
}

// start starts one program; its output goes to a file.
func (p *plane) start(path string, arguments ...string) error {
	name := filepath.Base(path)
	log, err := os.Create(filepath.Join(p.dir, name+".log"))
	if err != nil {
		return err
	}
	cmd := exec.Command(path, arguments...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, p.dir
	c, err := child.Start(cmd)
	if err != nil {
		return errors.Join(fmt.Errorf("%s: %w", name, err), log.Close())
	}
	p.processes = append(p.processes, &process{c, name, log})
	return nil
}

// stop ends them, the last first: none can say anything worth knowing any more, but that it had ended before.
func (p *plane) stop() error {
	var err error
	for i := len(p.processes) - 1; i >= 0; i-- {
		x := p.processes[i]
		select {
		case <-x.Done():
			err = errors.Join(err, fmt.Errorf("%s ended by itself: %w", x.name, orNone(x.Err())))
		default:
			err = errors.Join(err, x.Kill())
		}
		err = errors.Join(err, x.log.Close())
	}
	return err
}

// await asks again and again until something is so, ctx ends, or a program does.
func (p *plane) await(ctx context.Context, what string, so func(context.Context) (bool, error)) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := so(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if ok {
			return nil
		}
		for _, x := range p.processes {
			select {
			case <-x.Done():
				return fmt.Errorf("waiting for %s: %s ended: %w", what, x.name, orNone(x.Err()))
			default:
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("still waiting for %s: %w", what, ctx.Err())
		}
	}
}

// accountKeys makes the key by which tokens of service accounts are signed.
func (p *plane) accountKeys() (private, public string, err error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return "", "", err
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return "", "", err
	}
	private, public = filepath.Join(p.dir, "accounts.key"), filepath.Join(p.dir, "accounts.pub")
	return private, public, errors.Join(
		os.WriteFile(private, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}), 0o600),
		os.WriteFile(public, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600))
}

// login makes the token of the one user, and the file by which it is used.
func (p *plane) login(server string) (tokens string, err error) {
	var secret [16]byte
	if _, err := rand.Read(secret[:]); err != nil {
		return "", err
	}
	token := hex.EncodeToString(secret[:])
	tokens = filepath.Join(p.dir, "tokens.csv")
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{Server: server, InsecureSkipTLSVerify: true} // its certificate is of this minute
	config.AuthInfos["u"] = &clientcmdapi.AuthInfo{Token: token}
	config.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	config.CurrentContext = "x"
	return tokens, errors.Join(
		os.WriteFile(tokens, []byte(token+`,admin,admin,"system:masters"`+"\n"), 0o600),
		clientcmd.WriteToFile(*config, p.kubeconfig))
}
