package helm

import (
	"bufio"
	"fmt"
	"strings"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"
)

func newBuffered(text string) *bufio.Reader { return bufio.NewReader(strings.NewReader(text)) }

// known are the types of all that the chart makes.
var known = types()

func types() *runtime.Scheme {
	all := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{scheme.AddToScheme, monitoring.AddToScheme} {
		if err := add(all); err != nil {
			panic(fmt.Sprintf("types of Kubernetes: %v", err)) // it is the same in every run
		}
	}
	all.AddKnownTypeWithName(schema.GroupVersionKind{Group: "cert-manager.io", Version: "v1", Kind: "Certificate"}, &Certificate{})
	return all
}

// decode returns the object of a document. Unknown fields, and those that are there twice, are errors.
func decode(text []byte) (runtime.Object, error) {
	var about metav1.TypeMeta
	if err := yaml.Unmarshal(text, &about); err != nil {
		return nil, err
	}
	value, err := known.New(about.GroupVersionKind())
	if err != nil {
		return nil, err
	}
	if err := yaml.UnmarshalStrict(text, value); err != nil {
		return nil, err
	}
	return value, nil
}

// Certificate is what the chart uses of cert-manager's kind of that name. The module that has all
// of it has cert-manager with it.
type Certificate struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              CertificateSpec `json:"spec"`
}

// CertificateSpec is what a Certificate asks for.
type CertificateSpec struct {
	SecretName  string          `json:"secretName"`
	CommonName  string          `json:"commonName"`
	Duration    metav1.Duration `json:"duration"`
	RenewBefore metav1.Duration `json:"renewBefore"`
	PrivateKey  struct {
		Algorithm      string `json:"algorithm"`
		Size           int    `json:"size"`
		RotationPolicy string `json:"rotationPolicy"`
	} `json:"privateKey"`
	Usages    []string `json:"usages"`
	DNSNames  []string `json:"dnsNames"`
	IssuerRef struct {
		Name  string `json:"name"`
		Kind  string `json:"kind"`
		Group string `json:"group"`
	} `json:"issuerRef"`
}

// DeepCopyObject implements runtime.Object.
func (c *Certificate) DeepCopyObject() runtime.Object {
	next := *c
	return &next
}
