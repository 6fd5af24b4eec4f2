package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	core "k8s.io/api/core/v1"
	storage "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// zones of the nodes: two nodes and as many disks as it takes in each.
var zones = []string{"eu-a", "eu-b", "eu-c"}

const (
	nodesPerZone = 2
	disksPerZone = 8
	diskClass    = "zonal"
)

// makeNodes makes nodes, and disks that are good for one zone.
func makeNodes(ctx context.Context, client kubernetes.Interface) error {
	wait := storage.VolumeBindingWaitForFirstConsumer
	class := &storage.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: diskClass}, Provisioner: "kubernetes.io/no-provisioner", VolumeBindingMode: &wait}
	if _, err := client.StorageV1().StorageClasses().Create(ctx, class, metav1.CreateOptions{}); err != nil {
		return err
	}
	for _, zone := range zones {
		for i := range nodesPerZone {
			if err := makeNode(ctx, client, zone, fmt.Sprintf("node-%s-%d", zone, i)); err != nil {
				return err
			}
		}
		for i := range disksPerZone {
			if err := makeDisk(ctx, client, zone, fmt.Sprintf("disk-%s-%d", zone, i)); err != nil {
				return err
			}
		}
	}
	return nil
}

func makeNode(ctx context.Context, client kubernetes.Interface, zone, name string) error {
	n := &core.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
		core.LabelHostname: name, core.LabelTopologyZone: zone, core.LabelTopologyRegion: "eu", core.LabelOSStable: "linux", core.LabelArchStable: "amd64",
	}}}
	n, err := client.CoreV1().Nodes().Create(ctx, n, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	n.Status.Capacity = core.ResourceList{
		core.ResourceCPU: resource.MustParse("16"), core.ResourceMemory: resource.MustParse("64Gi"), core.ResourcePods: resource.MustParse("110"),
	}
	n.Status.Allocatable = n.Status.Capacity
	n.Status.Conditions = []core.NodeCondition{{
		Type: core.NodeReady, Status: core.ConditionTrue, Reason: "Played", LastHeartbeatTime: metav1.Now(), LastTransitionTime: metav1.Now(),
	}}
	_, err = client.CoreV1().Nodes().UpdateStatus(ctx, n, metav1.UpdateOptions{})
	return err
}

func makeDisk(ctx context.Context, client kubernetes.Interface, zone, name string) error {
	_, err := client.CoreV1().PersistentVolumes().Create(ctx, &core.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: core.PersistentVolumeSpec{
			Capacity: core.ResourceList{core.ResourceStorage: resource.MustParse("100Gi")}, AccessModes: []core.PersistentVolumeAccessMode{core.ReadWriteOnce},
			PersistentVolumeReclaimPolicy: core.PersistentVolumeReclaimRetain, StorageClassName: diskClass,
			PersistentVolumeSource: core.PersistentVolumeSource{Local: &core.LocalVolumeSource{Path: "/" + name}},
			NodeAffinity: &core.VolumeNodeAffinity{Required: &core.NodeSelector{NodeSelectorTerms: []core.NodeSelectorTerm{{
				MatchExpressions: []core.NodeSelectorRequirement{{Key: core.LabelTopologyZone, Operator: core.NodeSelectorOpIn, Values: []string{zone}}},
			}}}},
		},
	}, metav1.CreateOptions{})
	return err
}

// kubelets plays the machines: pods that were placed run and are ready, unless they are held, jobs are done at once, and pods that
// were to end are gone. Nothing else makes a pod ready, or takes one away.
type kubelets struct {
	client kubernetes.Interface

	mu    sync.Mutex // guards what follows
	held  bool       // pods that are placed from now on run, and are not ready
	let   string     // but for the one of this name
	fails bool       // jobs fail
	least int        // the fewest pods that were ready and not to end, since it was asked last
	ended []string   // brokers that were taken away, in this order, since it was asked last
	err   error
}

const kubeletInterval = 100 * time.Millisecond

func (k *kubelets) run(ctx context.Context) {
	tick := time.NewTicker(kubeletInterval)
	defer tick.Stop()
	for {
		if err := k.look(ctx); err != nil && ctx.Err() == nil {
			k.mu.Lock()
			k.err = err
			k.mu.Unlock()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// look does once what kubelets do.
func (k *kubelets) look(ctx context.Context) error {
	pods, err := k.client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	ready := 0
	for i := range pods.Items {
		if pod := &pods.Items[i]; isReady(pod) && pod.DeletionTimestamp == nil {
			ready++
		}
	}
	k.least = min(k.least, ready)
	for i := range pods.Items {
		pod := &pods.Items[i]
		switch {
		case pod.DeletionTimestamp != nil:
			now, uid := int64(0), pod.UID
			err := k.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &uid}})
			if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
				continue
			}
			if err != nil {
				return err
			}
			if !isJob(pod) {
				k.ended = append(k.ended, pod.Name)
			}
		case isJob(pod):
			if pod.Spec.NodeName == "" || pod.Status.Phase == core.PodSucceeded || pod.Status.Phase == core.PodFailed {
				continue
			}
			done(pod, k.fails)
			if err := k.say(ctx, pod); err != nil {
				return err
			}
		case pod.Spec.NodeName != "" && !isReady(pod) && (!k.held || pod.Name == k.let || pod.Status.Phase != core.PodRunning):
			runs(pod, !k.held || pod.Name == k.let)
			if err := k.say(ctx, pod); err != nil {
				return err
			}
		}
	}
	return nil
}

// say tells the status of a pod, unless it is another one by now.
func (k *kubelets) say(ctx context.Context, pod *core.Pod) error {
	_, err := k.client.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, pod, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}

// fail says whether jobs fail from now on.
func (k *kubelets) fail(fails bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fails = fails
}

// hold says whether new pods are to wait until they are ready, and which of them need not.
func (k *kubelets) hold(held bool, let string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.held, k.let = held, let
}

// since returns what it saw since it was asked last.
func (k *kubelets) since() (least int, ended []string, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	least, ended, err = k.least, k.ended, k.err
	k.least, k.ended, k.err = 1<<30, nil, nil
	return least, ended, err
}

// isJob says whether a pod is to come to an end by itself; no broker is.
func isJob(pod *core.Pod) bool { return pod.Spec.RestartPolicy == core.RestartPolicyNever }

func isReady(pod *core.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == core.PodReady {
			return c.Status == core.ConditionTrue
		}
	}
	return false
}

// runs makes the status of a pod that runs.
func runs(pod *core.Pod, ready bool) {
	status := core.ConditionFalse
	if ready {
		status = core.ConditionTrue
	}
	now := metav1.Now()
	pod.Status.Phase, pod.Status.StartTime = core.PodRunning, &now
	var conditions []core.PodCondition
	for _, c := range pod.Status.Conditions {
		if c.Type == core.PodScheduled {
			conditions = append(conditions, c)
		}
	}
	for _, c := range []core.PodConditionType{core.PodInitialized, core.ContainersReady, core.PodReady} {
		s := status
		if c == core.PodInitialized {
			s = core.ConditionTrue
		}
		conditions = append(conditions, core.PodCondition{Type: c, Status: s, LastTransitionTime: now})
	}
	pod.Status.Conditions = conditions
	pod.Status.ContainerStatuses = nil
	for _, c := range pod.Spec.Containers {
		pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, core.ContainerStatus{
			Name: c.Name, Image: c.Image, Ready: ready, State: core.ContainerState{Running: &core.ContainerStateRunning{StartedAt: now}},
		})
	}
}

// done makes the status of a pod that came to its end.
func done(pod *core.Pod, failed bool) {
	now := metav1.Now()
	ended := core.ContainerStateTerminated{StartedAt: now, FinishedAt: now}
	pod.Status.Phase, pod.Status.StartTime = core.PodSucceeded, &now
	if failed {
		pod.Status.Phase, ended.ExitCode = core.PodFailed, 1
	}
	pod.Status.ContainerStatuses = nil
	for _, c := range pod.Spec.Containers {
		pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, core.ContainerStatus{
			Name: c.Name, Image: c.Image, State: core.ContainerState{Terminated: &ended},
		})
	}
}
