package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	core "k8s.io/api/core/v1"
	policy "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"
)

// world is a cluster of Kubernetes with a chart to be tried in it.
type world struct {
	plane    *plane
	client   kubernetes.Interface
	kubelets *kubelets
	values   map[string]any // of the release that is there
}

// chartDir is where the chart lies, from where `make kube` runs this.
const chartDir = "../helm/tideline"

const (
	namespace = "kafka"
	release   = "tl"
	set       = "tl-tideline"
)

// newWorld makes nodes and namespaces. Nobody plays the kubelets yet.
func newWorld(ctx context.Context, p *plane) (*world, error) {
	w := &world{plane: p, client: p.client, kubelets: &kubelets{client: p.client, least: 1 << 30}}
	if err := makeNodes(ctx, w.client); err != nil {
		return nil, err
	}
	for _, name := range []string{namespace, "zones", "admitted"} {
		// The API server itself refuses pods that may more than a broker needs.
		n := &core.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}}}
		if _, err := w.client.CoreV1().Namespaces().Create(ctx, n, metav1.CreateOptions{}); err != nil {
			return nil, err
		}
	}
	if err := p.await(ctx, "nodes without taints", func(ctx context.Context) (bool, error) {
		nodes, err := w.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		return err == nil && !slices.ContainsFunc(nodes.Items, func(n core.Node) bool { return len(n.Spec.Taints) > 0 }), err
	}); err != nil {
		return nil, err
	}
	return w, nil
}

// parse reads values.
func parse(text string) (map[string]any, error) {
	values := map[string]any{}
	return values, yaml.Unmarshal([]byte(text), &values)
}

// apply installs the chart, or upgrades what is there.
func (w *world) apply(ctx context.Context, in string, values map[string]any, upgrade bool, flags ...string) error {
	text, err := yaml.Marshal(values)
	if err != nil {
		return err
	}
	verb := "install"
	if upgrade {
		verb = "upgrade"
	}
	return w.helm(ctx, string(text), append([]string{verb, release, chartDir, "--namespace", in, "--values", "-"}, flags...)...)
}

func (w *world) remove(ctx context.Context, in string) error {
	return w.helm(ctx, "", "uninstall", release, "--namespace", in)
}

// helm runs Helm with something to read. What it says is part of the error.
func (w *world) helm(ctx context.Context, read string, arguments ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(w.plane.programs, "helm"), append(arguments, "--kubeconfig", w.plane.kubeconfig)...)
	cmd.Stdin = strings.NewReader(read)
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+w.plane.dir, "HELM_CONFIG_HOME="+w.plane.dir, "HELM_DATA_HOME="+w.plane.dir)
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("helm %s: %w: %s", strings.Join(arguments, " "), err, said)
	}
	return nil
}

// pods returns the brokers of the release, by the names of their pods.
func (w *world) pods(ctx context.Context, in string) (map[string]*core.Pod, error) {
	list, err := w.client.CoreV1().Pods(in).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/instance=" + release})
	if err != nil {
		return nil, err
	}
	pods := map[string]*core.Pod{}
	for i := range list.Items {
		if p := &list.Items[i]; !isJob(p) {
			pods[p.Name] = p
		}
	}
	return pods, nil
}

// ready waits until there are so many pods, and all are ready.
func (w *world) ready(ctx context.Context, in string, n int) (pods map[string]*core.Pod, err error) {
	err = w.plane.await(ctx, fmt.Sprintf("%d pods that are ready", n), func(ctx context.Context) (bool, error) {
		if pods, err = w.pods(ctx, in); err != nil || len(pods) != n {
			return false, err
		}
		for _, p := range pods {
			if !isReady(p) || p.DeletionTimestamp != nil {
				return false, nil
			}
		}
		return true, nil
	})
	if err != nil {
		err = errors.Join(err, w.why(in))
	}
	return pods, err
}

// why tells what the cluster has said of itself.
func (w *world) why(in string) error {
	events, err := w.client.CoreV1().Events(in).List(context.Background(), metav1.ListOptions{})
	if err != nil {
		return err
	}
	var said error
	for _, e := range events.Items {
		if e.Type == core.EventTypeWarning {
			said = errors.Join(said, fmt.Errorf("%s %s: %s", e.InvolvedObject.Kind, e.InvolvedObject.Name, e.Message))
		}
	}
	return said
}

// install installs the chart with all that must be given, while one zone alone takes pods: there is room for two of them
// there, and only one may come. Where brokers would be without that rule is chance, and not a thing to look at.
func (w *world) install(ctx context.Context) (err error) {
	if w.values, err = parse("{objectStore: {url: s3://bucket}, persistence: {storageClass: " + diskClass + "}}"); err != nil {
		return err
	}
	if err := w.cordon(ctx, true, zones[1:]...); err != nil {
		return err
	}
	if err := w.apply(ctx, namespace, w.values, false); err != nil {
		return err
	}
	if err := w.plane.await(ctx, "one broker in the one zone, and two that wait for theirs", func(ctx context.Context) (bool, error) {
		pods, err := w.pods(ctx, namespace)
		placed, waiting := 0, 0
		for _, p := range pods {
			switch {
			case p.Spec.NodeName != "":
				placed++
			case waits(p):
				waiting++
			}
		}
		if placed > 1 {
			return false, fmt.Errorf("%d brokers are in one zone", placed)
		}
		return placed == 1 && waiting == 2, err
	}); err != nil {
		return errors.Join(err, w.why(namespace))
	}
	if err := w.cordon(ctx, false, zones...); err != nil {
		return err
	}
	pods, err := w.ready(ctx, namespace, 3)
	if err != nil {
		return err
	}
	return w.placed(ctx, pods, 3)
}

// waits says whether the scheduler has found no node for a pod.
func waits(pod *core.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c core.PodCondition) bool {
		return c.Type == core.PodScheduled && c.Status == core.ConditionFalse && c.Reason == core.PodReasonUnschedulable
	})
}

// placed checks where pods are: in so many zones, on nodes of their own, told of their zone.
func (w *world) placed(ctx context.Context, pods map[string]*core.Pod, inZones int) error {
	nodes, in := map[string]bool{}, map[string]bool{}
	for name, p := range pods {
		n, err := w.client.CoreV1().Nodes().Get(ctx, p.Spec.NodeName, metav1.GetOptions{})
		if err != nil {
			return err
		}
		zone := n.Labels[core.LabelTopologyZone]
		if got := p.Labels[core.LabelTopologyZone]; got != zone {
			return fmt.Errorf("pod %s is in zone %s and told that it is in %q", name, zone, got)
		}
		nodes[n.Name], in[zone] = true, true
		claim, err := w.client.CoreV1().PersistentVolumeClaims(p.Namespace).Get(ctx, "data-"+name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if claim.Status.Phase != core.ClaimBound {
			return fmt.Errorf("claim of %s is %s", name, claim.Status.Phase)
		}
	}
	if len(nodes) != len(pods) || len(in) != inZones {
		return fmt.Errorf("%d pods on %d nodes in %d zones", len(pods), len(nodes), len(in))
	}
	return nil
}

// cordon takes the nodes of some zones out of the scheduler's sight, or brings them back.
func (w *world) cordon(ctx context.Context, out bool, of ...string) error {
	patch := fmt.Appendf(nil, `{"spec":{"unschedulable":%t}}`, out)
	nodes, err := w.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, n := range nodes.Items {
		if !slices.Contains(of, n.Labels[core.LabelTopologyZone]) {
			continue
		}
		if _, err := w.client.CoreV1().Nodes().Patch(ctx, n.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// evict evicts one broker, that then finds no machine, and tries to evict another.
func (w *world) evict(ctx context.Context) error {
	if err := w.plane.await(ctx, "a budget that is known", func(ctx context.Context) (bool, error) {
		b, err := w.client.PolicyV1().PodDisruptionBudgets(namespace).Get(ctx, set, metav1.GetOptions{})
		return err == nil && b.Status.DisruptionsAllowed == 1 && b.Status.ExpectedPods == 3, err
	}); err != nil {
		return err
	}
	if err := w.cordon(ctx, true, zones...); err != nil {
		return err
	}
	evict := func(pod string) error {
		return w.client.PolicyV1().Evictions(namespace).Evict(ctx, &policy.Eviction{ObjectMeta: metav1.ObjectMeta{Name: pod, Namespace: namespace}})
	}
	if err := evict(set + "-0"); err != nil {
		return err
	}
	if err := evict(set + "-1"); !apierrors.IsTooManyRequests(err) {
		return fmt.Errorf("a second eviction: %w", orNone(err))
	}
	if err := w.cordon(ctx, false, zones...); err != nil {
		return err
	}
	pods, err := w.ready(ctx, namespace, 3)
	if err != nil {
		return err
	}
	return w.placed(ctx, pods, 3)
}

var errNone = errors.New("nothing was wrong with it")

func orNone(err error) error {
	if err == nil {
		return errNone
	}
	return err
}

// update changes a setting, and holds each new pod back for a while.
func (w *world) update(ctx context.Context) error {
	before, err := w.ready(ctx, namespace, 3)
	if err != nil {
		return err
	}
	if _, _, err := w.kubelets.since(); err != nil {
		return err
	}
	w.kubelets.hold(true, "")
	defer w.kubelets.hold(false, "")
	// With five voters, each broker that is added up to the fifth is one more address in cluster.seeds: see grow.
	w.values["settings"] = map[string]any{"num.partitions": 6, "controller.voters": 5}
	if err := w.apply(ctx, namespace, w.values, true); err != nil {
		return err
	}
	for i := 2; i >= 0; i-- {
		name := fmt.Sprintf("%s-%d", set, i)
		if err := w.plane.await(ctx, "a new "+name, func(ctx context.Context) (bool, error) {
			pods, err := w.pods(ctx, namespace)
			return err == nil && pods[name] != nil && pods[name].UID != before[name].UID && pods[name].Status.Phase == core.PodRunning, err
		}); err != nil {
			return errors.Join(err, w.why(namespace))
		}
		// It runs and is not ready: for so many looks nothing else may happen.
		for range 30 {
			if err := w.pause(ctx); err != nil {
				return err
			}
			pods, err := w.pods(ctx, namespace)
			if err != nil {
				return err
			}
			for j := range i {
				other := fmt.Sprintf("%s-%d", set, j)
				if p := pods[other]; p == nil || p.UID != before[other].UID || p.DeletionTimestamp != nil {
					return fmt.Errorf("%s was restarted while %s was not ready", other, name)
				}
			}
		}
		w.kubelets.hold(true, name)
		if err := w.plane.await(ctx, name+" to be ready", func(ctx context.Context) (bool, error) {
			pods, err := w.pods(ctx, namespace)
			return err == nil && pods[name] != nil && isReady(pods[name]), err
		}); err != nil {
			return err
		}
	}
	least, ended, err := w.kubelets.since()
	if want := []string{set + "-2", set + "-1", set + "-0"}; err != nil || least != 2 || !slices.Equal(ended, want) {
		return fmt.Errorf("restarted were %v, and %d were ready at times: %w", ended, least, orNone(err))
	}
	return nil
}

// pause waits for one look of the kubelets.
func (w *world) pause(ctx context.Context) error {
	timer := time.NewTimer(kubeletInterval)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// asked has the chart ask for the health of the cluster before it changes anything: an upgrade while something is wrong
// restarts nobody, and one while all is well does. The same question is asked by helm test.
func (w *world) asked(ctx context.Context) error {
	before, err := w.ready(ctx, namespace, 3)
	if err != nil {
		return err
	}
	w.values["healthCheck"] = map[string]any{"beforeUpgrade": true}
	w.values["podAnnotations"] = map[string]any{"example.com/turn": "second"} // nobody can miss that
	w.kubelets.fail(true)
	defer w.kubelets.fail(false)
	// The job tries again for five minutes, which nobody has to see.
	if err := w.apply(ctx, namespace, w.values, true, "--timeout=15s"); err == nil {
		return errors.New("an upgrade went on though something was wrong")
	}
	if err := w.helm(ctx, "", "test", release, "--namespace", namespace, "--timeout=5s"); err == nil {
		return errors.New("the test of the chart found all well though something was wrong")
	}
	w.kubelets.fail(false)
	sets, err := w.client.AppsV1().StatefulSets(namespace).Get(ctx, set, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if got := sets.Spec.Template.Annotations["example.com/turn"]; got != "" {
		return fmt.Errorf("the upgrade that was stopped has changed the brokers: turn=%q", got)
	}
	if err := w.apply(ctx, namespace, w.values, true); err != nil {
		return err
	}
	if err := w.plane.await(ctx, "three brokers of the second turn", func(ctx context.Context) (bool, error) {
		pods, err := w.ready(ctx, namespace, 3)
		if err != nil {
			return false, err
		}
		for name, p := range pods {
			if p.UID == before[name].UID {
				return false, nil
			}
		}
		return true, nil
	}); err != nil {
		return err
	}
	return w.helm(ctx, "", "test", release, "--namespace", namespace)
}

// grow adds one broker, which changes the settings of the others where they are told who makes the cluster.
func (w *world) grow(ctx context.Context) error {
	before, err := w.ready(ctx, namespace, 3)
	if err != nil {
		return err
	}
	w.values["replicas"] = 4
	if err := w.apply(ctx, namespace, w.values, true); err != nil {
		return err
	}
	// Restarts would come after the new one is ready: only a set that has nothing left to do has restarted nobody.
	if err := w.plane.await(ctx, "four brokers and nothing left to do", func(ctx context.Context) (bool, error) {
		s, err := w.client.AppsV1().StatefulSets(namespace).Get(ctx, set, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		t := s.Status
		return t.ObservedGeneration == s.Generation && t.ReadyReplicas == 4 && t.UpdatedReplicas == 4 && t.CurrentRevision == t.UpdateRevision, nil
	}); err != nil {
		return errors.Join(err, w.why(namespace))
	}
	after, err := w.ready(ctx, namespace, 4)
	if err != nil {
		return err
	}
	for name, p := range before {
		if after[name].UID != p.UID {
			return fmt.Errorf("%s was restarted", name)
		}
	}
	return w.placed(ctx, after, 3)
}

// uninstall takes the release away.
func (w *world) uninstall(ctx context.Context) error {
	if err := w.remove(ctx, namespace); err != nil {
		return err
	}
	if err := w.plane.await(ctx, "pods to be gone", func(ctx context.Context) (bool, error) {
		pods, err := w.pods(ctx, namespace)
		return err == nil && len(pods) == 0, err
	}); err != nil {
		return err
	}
	left, err := w.left(ctx, namespace)
	if err != nil {
		return err
	}
	want := []string{"persistentvolumeclaims/data-tl-tideline-0", "persistentvolumeclaims/data-tl-tideline-1", "persistentvolumeclaims/data-tl-tideline-2", "persistentvolumeclaims/data-tl-tideline-3"}
	if !slices.Equal(left, want) {
		return fmt.Errorf("left over: %v", left)
	}
	return nil
}

// theirs are kinds of which there are some in every namespace, or that tell what was.
var theirs = []string{"events", "endpointslices", "endpoints", "controllerrevisions", "bindings"}

// left lists all that there is in a namespace, but what Kubernetes puts into each.
func (w *world) left(ctx context.Context, in string) (left []string, err error) {
	kinds, err := w.plane.client.Discovery().ServerPreferredNamespacedResources()
	if err != nil {
		return nil, err
	}
	for _, group := range kinds {
		for _, kind := range group.APIResources {
			if !slices.Contains(kind.Verbs, "list") || slices.Contains(theirs, kind.Name) {
				continue
			}
			root := "/apis/" + group.GroupVersion
			if group.GroupVersion == "v1" {
				root = "/api/v1"
			}
			text, err := w.plane.client.Discovery().RESTClient().Get().AbsPath(root, "namespaces", in, kind.Name).DoRaw(ctx)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", kind.Name, err)
			}
			var list metav1.PartialObjectMetadataList
			if err := yaml.Unmarshal(text, &list); err != nil {
				return nil, err
			}
			for i := range list.Items {
				if name := list.Items[i].Name; name != "kube-root-ca.crt" && (kind.Name != "serviceaccounts" || name != "default") {
					left = append(left, kind.Name+"/"+name)
				}
			}
		}
	}
	slices.Sort(left)
	return left, nil
}

// zones installs a StatefulSet for each zone, and lets one of them have its turn.
func (w *world) zones(ctx context.Context) error {
	const in = "zones"
	values, err := parse("{objectStore: {url: s3://bucket}, persistence: {storageClass: " + diskClass + ", whenDeleted: Delete}, " +
		"zones: [{name: eu-a}, {name: eu-b, replicas: 2}, {name: eu-c}]}")
	if err != nil {
		return err
	}
	if err := w.apply(ctx, in, values, false); err != nil {
		return err
	}
	before, err := w.ready(ctx, in, 4)
	if err != nil {
		return err
	}
	if err := w.placed(ctx, before, 3); err != nil {
		return err
	}
	for _, name := range []string{"tl-tideline-eu-a-0", "tl-tideline-eu-b-100", "tl-tideline-eu-b-101", "tl-tideline-eu-c-200"} {
		p := before[name]
		if p == nil || p.Labels[core.LabelTopologyZone] != p.Labels["tideline-zone"] {
			return fmt.Errorf("no pod %s in its zone", name)
		}
	}
	values["settings"] = map[string]any{"num.partitions": 6}
	values["rollout"] = map[string]any{"zone": "eu-b"}
	if _, _, err := w.kubelets.since(); err != nil {
		return err
	}
	if err := w.apply(ctx, in, values, true); err != nil {
		return err
	}
	if err := w.plane.await(ctx, "the two of one zone to be restarted", func(ctx context.Context) (bool, error) {
		pods, err := w.pods(ctx, in)
		return err == nil && len(pods) == 4 && pods["tl-tideline-eu-b-100"].UID != before["tl-tideline-eu-b-100"].UID && isReady(pods["tl-tideline-eu-b-100"]), err
	}); err != nil {
		return errors.Join(err, w.why(in))
	}
	if least, ended, err := w.kubelets.since(); err != nil || least != 3 || !slices.Equal(ended, []string{"tl-tideline-eu-b-101", "tl-tideline-eu-b-100"}) {
		return fmt.Errorf("restarted were %v, and %d were ready at times: %w", ended, least, orNone(err))
	}
	if err := w.remove(ctx, in); err != nil {
		return err
	}
	var left []string
	if err := w.plane.await(ctx, "nothing to be left", func(ctx context.Context) (bool, error) {
		left, err = w.left(ctx, in)
		return err == nil && len(left) == 0, err
	}); err != nil {
		return fmt.Errorf("%w: left over: %v", err, left)
	}
	return nil
}

// admitted has the API server judge what else the chart can make.
func (w *world) admitted(ctx context.Context) error {
	const in = "admitted"
	for _, text := range []string{
		// The kinds of operators that are not here are left out.
		"{replicas: 5, objectStore: {url: s3://bucket, credentialsSecret: {name: s3}, caSecret: {name: s3-ca}}, listeners: {client: {protocol: SASL_SSL}}, " +
			"tls: {clients: {secretName: a}, peers: {secretName: b}, admin: {secretName: c}}, sasl: {mechanisms: [PLAIN], usersSecret: {name: d}}, admin: {users: scram}, " +
			"networkPolicy: {clients: [{namespaceSelector: {}}], scrapers: [{ipBlock: {cidr: 10.0.0.0/8}}], egress: {enabled: true, rules: [{ports: [{port: 443}]}]}}}",
		"{objectStore: {url: s3://bucket}, listeners: {external: {enabled: true, protocol: PLAINTEXT, host: 'b-{id}.example.com', externalTrafficPolicy: Local, " +
			"loadBalancerSourceRanges: [192.0.2.0/24]}}, telemetry: {otlpEndpoint: 'http://collector:4317'}}",
		"{objectStore: {url: s3://bucket}, listeners: {external: {enabled: true, protocol: PLAINTEXT, type: NodePort, host: example.com, firstNodePort: 32000}}}",
	} {
		values, err := parse(text)
		if err != nil {
			return err
		}
		if err := w.apply(ctx, in, values, false); err != nil {
			return fmt.Errorf("%w: %s", err, text)
		}
		if err := w.remove(ctx, in); err != nil {
			return err
		}
		if err := w.plane.await(ctx, "services to be gone", func(ctx context.Context) (bool, error) {
			services, err := w.client.CoreV1().Services(in).List(ctx, metav1.ListOptions{})
			return err == nil && len(services.Items) == 0, err
		}); err != nil {
			return err
		}
	}
	return nil
}
