package deploy

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/appcontainers/armappcontainers/v3"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/pelletier/go-toml/v2"
	"sigs.k8s.io/yaml"
)

// A field that Microsoft's own types do not have is lost on the way through them.
func TestAzureContainerApps(t *testing.T) {
	given, err := yaml.YAMLToJSONStrict([]byte(read(t, "azure-container-apps/containerapp.yaml")))
	if err != nil {
		t.Fatal(err)
	}
	var app armappcontainers.ContainerApp
	if err := app.UnmarshalJSON(given); err != nil {
		t.Fatal(err)
	}
	taken, err := app.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var before, after any
	if err := json.Unmarshal(given, &before); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(taken, &after); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(before, after) {
		t.Fatalf("of\n%s\nis taken\n%s", given, taken)
	}

	template := app.Properties.Template
	c := template.Containers[0]
	var args []string
	for _, a := range c.Args {
		args = append(args, *a)
	}
	x := times{drain: drainOf(t, args), grace: seconds(*template.TerminationGracePeriodSeconds)}
	port := *app.Properties.Configuration.Ingress.TargetPort
	paths := map[armappcontainers.Type]string{"Startup": "/startupz", "Readiness": "/readyz", "Liveness": "/livez"}
	for _, p := range c.Probes {
		if !slices.Contains(armappcontainers.PossibleTypeValues(), *p.Type) || *p.HTTPGet.Path != paths[*p.Type] || *p.HTTPGet.Port != port {
			t.Errorf("%s asks %s of port %d", *p.Type, *p.HTTPGet.Path, *p.HTTPGet.Port)
		}
		// The limits that the comments of these types give.
		if *p.FailureThreshold > 10 || *p.PeriodSeconds > 240 || *p.TimeoutSeconds > 240 || *p.TimeoutSeconds > *p.PeriodSeconds {
			t.Errorf("%s is out of bounds", *p.Type)
		}
		if *p.Type == armappcontainers.TypeReadiness {
			x.asked = append(x.asked, asked{"the readiness probe", seconds(*p.PeriodSeconds), int(*p.FailureThreshold)})
		}
		delete(paths, *p.Type)
	}
	if len(paths) > 0 {
		t.Errorf("no probe for %v", paths)
	}
	x.check(t)
}

// Bicep is not compiled. Its template says the same as the
// one in YAML, value by value.
func TestBicepSaysTheSame(t *testing.T) {
	pair := regexp.MustCompile(`(?m)^[ -]*(\w+):[ ]*(\S.*?)\s*$`)
	values := func(file string) (all []string) {
		_, template, found := strings.Cut(read(t, file), "template:")
		if !found {
			t.Fatalf("%s has no template", file)
		}
		for _, m := range pair.FindAllStringSubmatch(template, -1) {
			value := strings.NewReplacer(`'`, "", `"`, "", "json(", "", ")", "").Replace(m[2])
			if value != "{" && value != "[" && m[1] != "image" {
				all = append(all, m[1]+": "+value)
			}
		}
		return all
	}
	yaml, bicep := values("azure-container-apps/containerapp.yaml"), values("azure-container-apps/main.bicep")
	if len(yaml) < 20 || !slices.Equal(yaml, bicep) {
		t.Errorf("YAML\n%s\nBicep\n%s", strings.Join(yaml, "\n"), strings.Join(bicep, "\n"))
	}
}

func TestCompose(t *testing.T) {
	project, err := loader.LoadWithContext(context.Background(), types.ConfigDetails{
		WorkingDir:  "compose",
		ConfigFiles: []types.ConfigFile{{Filename: "compose/compose.yaml", Content: []byte(read(t, "compose/compose.yaml"))}},
	}, func(o *loader.Options) { o.SetProjectName("chat", true) })
	if err != nil {
		t.Fatal(err)
	}
	s := project.Services["chat"]
	times{drain: drainOf(t, s.Command), grace: time.Duration(*s.StopGracePeriod)}.check(t)
	if health := strings.Join(s.HealthCheck.Test, " "); !strings.HasSuffix(health, "127.0.0.1:8080/startupz") {
		t.Errorf("the health check is %s: a drain would wait for one that asks /readyz", health)
	}
	dockerfile := read(t, "compose/Dockerfile")
	for _, want := range []string{build, "go build"} {
		if !strings.Contains(dockerfile, want) {
			t.Errorf("the Dockerfile does not build by %q, as these tests do", want)
		}
	}
}

// fly.toml by the names of https://fly.io/docs/reference/configuration/ that it uses.
func TestFly(t *testing.T) {
	var app struct {
		App           string `toml:"app"`
		PrimaryRegion string `toml:"primary_region"`
		KillSignal    string `toml:"kill_signal"`
		KillTimeout   int    `toml:"kill_timeout"`
		Build         struct {
			Image string `toml:"image"`
		} `toml:"build"`
		Processes map[string]string `toml:"processes"`
		Deploy    struct {
			Strategy       string  `toml:"strategy"`
			MaxUnavailable float64 `toml:"max_unavailable"`
		} `toml:"deploy"`
		HTTPService struct {
			Processes    []string `toml:"processes"`
			InternalPort int      `toml:"internal_port"`
			ForceHTTPS   bool     `toml:"force_https"`
			AutoStop     bool     `toml:"auto_stop_machines"`
			AutoStart    bool     `toml:"auto_start_machines"`
			Concurrency  struct {
				Type string `toml:"type"`
				Soft int    `toml:"soft_limit"`
				Hard int    `toml:"hard_limit"`
			} `toml:"concurrency"`
			Checks []struct {
				Method      string `toml:"method"`
				Path        string `toml:"path"`
				GracePeriod string `toml:"grace_period"`
				Interval    string `toml:"interval"`
				Timeout     string `toml:"timeout"`
			} `toml:"checks"`
		} `toml:"http_service"`
	}
	decoder := toml.NewDecoder(strings.NewReader(read(t, "fly/fly.toml")))
	if err := decoder.DisallowUnknownFields().Decode(&app); err != nil {
		t.Fatal(err)
	}
	c := app.HTTPService.Checks[0]
	args := strings.Fields(app.Processes[app.HTTPService.Processes[0]])
	times{
		drain: drainOf(t, args), grace: seconds(app.KillTimeout), asked: []asked{{"Fly.io", duration(t, c.Interval), 1}},
	}.check(t)
	if c.Path != "/readyz" || app.KillTimeout > 300 || app.KillSignal != "SIGTERM" || !slices.Contains(args, fmt.Sprintf(":%d", app.HTTPService.InternalPort)) {
		t.Errorf("%+v", app)
	}
}

func TestSystemd(t *testing.T) {
	text := read(t, "systemd/chat.service")
	times{
		drain: drainOf(t, strings.Fields(find(t, text, `ExecStart=(.*)`))), grace: duration(t, find(t, text, `TimeoutStopSec=(.*)`)),
	}.check(t)
	unit := write(t, t.TempDir(), "chat.service", with(t, "systemd/chat.service", "/usr/local/bin/chat", chat))
	// What it does not know it ignores, with a line and a good exit status.
	if said := check(t, "systemd-analyze", "verify", "--man=no", unit); strings.Contains(said, "chat.service") {
		t.Error(said)
	}
	check(t, "systemd-analyze", "security", "--offline=yes", "--threshold=20", "--no-pager", unit)
}
