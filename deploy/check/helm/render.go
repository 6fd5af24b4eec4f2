package helm

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// Dir is where the chart lies, from this package.
const Dir = "../../helm/tideline"

// Release is what Helm tells a chart beside its values.
type Release struct {
	Name, Namespace string
	Kubernetes      string // version of the API server
	Upgrade         bool
}

// Object is one object of a release.
type Object struct {
	Source string // the template
	Text   []byte
	Value  runtime.Object // what the API server would have
}

// Rendered is what comes of a chart and its values.
type Rendered struct {
	Objects []Object
	Notes   string
}

// Render does what `helm template` does, and decodes what comes of it.
func Render(values map[string]any, r Release) (*Rendered, error) {
	c, err := loader.Load(Dir)
	if err != nil {
		return nil, err
	}
	caps := common.DefaultCapabilities.Copy()
	version, err := common.ParseKubeVersion(r.Kubernetes)
	if err != nil {
		return nil, err
	}
	caps.KubeVersion = *version
	top, err := util.ToRenderValues(c, values, common.ReleaseOptions{
		Name: r.Name, Namespace: r.Namespace, Revision: 1, IsUpgrade: r.Upgrade, IsInstall: !r.Upgrade,
	}, caps)
	if err != nil {
		return nil, err
	}
	return render(c, top)
}

func render(c *chart.Chart, top common.Values) (*Rendered, error) {
	files, err := engine.Render(c, top)
	if err != nil {
		return nil, err
	}
	out := &Rendered{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if strings.HasSuffix(name, "NOTES.txt") {
			out.Notes = files[name]
			continue
		}
		reader := utilyaml.NewYAMLReader(newBuffered(files[name]))
		for {
			text, err := reader.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			if isEmpty(text) {
				continue
			}
			value, err := decode(text)
			if err != nil {
				return nil, fmt.Errorf("%s: %w\n%s", name, err, text)
			}
			out.Objects = append(out.Objects, Object{Source: name, Text: text, Value: value})
		}
	}
	return out, nil
}

// isEmpty reports whether there is nothing in a document but comments.
func isEmpty(text []byte) bool {
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' && !bytes.Equal(line, []byte("---")) {
			return false
		}
	}
	return true
}

// Values reads a file of values.
func Values(text []byte) (map[string]any, error) {
	values := map[string]any{}
	if err := yaml.Unmarshal(text, &values); err != nil {
		return nil, err
	}
	return values, nil
}
