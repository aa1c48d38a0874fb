package deploy

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/apis/apps"
	appsv1 "k8s.io/kubernetes/pkg/apis/apps/v1"
	appsvalidation "k8s.io/kubernetes/pkg/apis/apps/validation"
	api "k8s.io/kubernetes/pkg/apis/core"
	apiv1 "k8s.io/kubernetes/pkg/apis/core/v1"
	apivalidation "k8s.io/kubernetes/pkg/apis/core/validation"
	"k8s.io/kubernetes/pkg/apis/networking"
	networkingv1 "k8s.io/kubernetes/pkg/apis/networking/v1"
	networkingvalidation "k8s.io/kubernetes/pkg/apis/networking/validation"
)

// objects reads a manifest as the API server does: strictly, with its defaults
// filled in, and validated.
func objects(t *testing.T, file string) (all []runtime.Object) {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		api.AddToScheme, apiv1.AddToScheme, apps.AddToScheme, appsv1.AddToScheme, networking.AddToScheme, networkingv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDecoder()
	for _, doc := range bytes.Split([]byte(read(t, file)), []byte("\n---\n")) {
		object, _, err := decoder.Decode(doc, nil, nil)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		var errs field.ErrorList
		switch o := object.(type) {
		case *apps.Deployment:
			errs = appsvalidation.ValidateDeployment(o, apivalidation.PodValidationOptions{})
		case *api.Service:
			errs = apivalidation.ValidateServiceCreate(o)
		case *networking.Ingress:
			errs = networkingvalidation.ValidateIngressCreate(o)
		default:
			t.Fatalf("%s has a %T, which is not validated", file, o)
		}
		if err := errs.ToAggregate(); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		all = append(all, object)
	}
	return all
}

// deployment is the one in a manifest, and the times of its container.
func deployment(t *testing.T, file string) (*apps.Deployment, times) {
	t.Helper()
	d, ok := objects(t, file)[0].(*apps.Deployment)
	if !ok {
		t.Fatalf("%s does not begin with a Deployment", file)
	}
	pod := d.Spec.Template.Spec
	c := pod.Containers[0]
	x := times{
		drain: drainOf(t, c.Args), grace: seconds(*pod.TerminationGracePeriodSeconds),
		asked: []asked{{"the kubelet", seconds(c.ReadinessProbe.PeriodSeconds), int(c.ReadinessProbe.FailureThreshold)}},
	}
	if c.Lifecycle != nil {
		x.preStop = seconds(c.Lifecycle.PreStop.Sleep.Seconds)
	}
	for path, probe := range map[string]*api.Probe{"/startupz": c.StartupProbe, "/readyz": c.ReadinessProbe, "/livez": c.LivenessProbe} {
		if get := probe.HTTPGet; get == nil || get.Path != path || get.Port != intstr.FromString(c.Ports[0].Name) {
			t.Errorf("%s: a probe asks %+v, want %s of the port", file, get, path)
		}
		if probe.TimeoutSeconds > probe.PeriodSeconds {
			t.Errorf("%s: %s may take longer than until it is asked again", file, path)
		}
	}
	return d, x
}

func TestKubernetes(t *testing.T) {
	d, x := deployment(t, "kubernetes/chat.yaml")
	x.check(t)
	service, ok := objects(t, "kubernetes/chat.yaml")[1].(*api.Service)
	if !ok || !selects(service, d) {
		t.Errorf("the Service does not select the pods: %+v", service)
	}
}

func selects(s *api.Service, d *apps.Deployment) bool {
	for k, v := range s.Spec.Selector {
		if d.Spec.Template.Labels[k] != v {
			return false
		}
	}
	return len(s.Spec.Selector) > 0
}

func TestEKS(t *testing.T) {
	d, pod := deployment(t, "eks/deployment.yaml")
	alb := objects(t, "eks/alb.yaml")
	ingress, nlb := alb[1].(*networking.Ingress), objects(t, "eks/nlb.yaml")[0].(*api.Service)
	for _, s := range []*api.Service{alb[0].(*api.Service), nlb} {
		if !selects(s, d) {
			t.Errorf("%+v does not select the pods", s)
		}
	}
	for _, lb := range []struct {
		who, prefix, fall, attributes string
		annotations                   map[string]string
	}{
		{"ALB", "alb.ingress.kubernetes.io/healthcheck-", "alb.ingress.kubernetes.io/unhealthy-threshold-count",
			"alb.ingress.kubernetes.io/target-group-attributes", ingress.Annotations},
		{"NLB", "service.beta.kubernetes.io/aws-load-balancer-healthcheck-",
			"service.beta.kubernetes.io/aws-load-balancer-healthcheck-unhealthy-threshold",
			"service.beta.kubernetes.io/aws-load-balancer-target-group-attributes", nlb.Annotations},
	} {
		interval := lb.annotations[lb.prefix+"interval"] + lb.annotations[lb.prefix+"interval-seconds"] // it has one of the two
		x := pod
		x.asked = append(x.asked, asked{lb.who, seconds(number(t, interval)), number(t, lb.annotations[lb.fall])})
		x.check(t)
		if path := lb.annotations[lb.prefix+"path"]; path != "/readyz" {
			t.Errorf("%s asks %q", lb.who, path)
		}
		delay := seconds(number(t, find(t, lb.annotations[lb.attributes], `deregistration_delay.timeout_seconds=(\d+)`)))
		if delay < x.preStop+x.drain {
			t.Errorf("%s cuts sessions after %v, before the drain has ended them", lb.who, delay)
		}
	}
}

// The balancers of China stand before the Deployment of the folder kubernetes.
func TestChinaLoadBalancers(t *testing.T) {
	d, x := deployment(t, "kubernetes/chat.yaml")
	x.asked = nil
	alibaba := objects(t, "china-load-balancers/alibaba-alb.yaml")[0].(*networking.Ingress).Annotations
	const prefix = "alb.ingress.kubernetes.io/"
	x.asked = append(x.asked, asked{"Alibaba's ALB",
		seconds(number(t, alibaba[prefix+"healthcheck-interval-seconds"])), number(t, alibaba[prefix+"unhealthy-threshold-count"])})
	if path := alibaba[prefix+"healthcheck-path"]; path != "/readyz" {
		t.Errorf("Alibaba's ALB asks %q", path)
	}
	huawei := objects(t, "china-load-balancers/huawei-elb.yaml")[0].(*api.Service)
	var option struct {
		Protocol, Path, Delay, Timeout string
		MaxRetries                     string `json:"max_retries"`
	}
	strict := json.NewDecoder(bytes.NewBufferString(huawei.Annotations["kubernetes.io/elb.health-check-option"]))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&option); err != nil {
		t.Fatal(err)
	}
	x.asked = append(x.asked, asked{"Huawei's ELB", seconds(number(t, option.Delay)), number(t, option.MaxRetries)})
	if option.Path != "/readyz" || option.Protocol != "HTTP" || number(t, option.Timeout) >= number(t, option.Delay) || !selects(huawei, d) {
		t.Errorf("%+v", option)
	}
	x.check(t)
}

// Every manifest of Kubernetes is read by a test above.
func TestManifestsAreAllRead(t *testing.T) {
	read := map[string]bool{
		"kubernetes/chat.yaml": true, "eks/deployment.yaml": true, "eks/alb.yaml": true, "eks/nlb.yaml": true,
		"china-load-balancers/alibaba-alb.yaml": true, "china-load-balancers/huawei-elb.yaml": true,
	}
	found, err := filepath.Glob("*/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range found {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, []byte("apiVersion:")) && !read[file] {
			t.Errorf("%s is not validated", file)
		}
	}
}
