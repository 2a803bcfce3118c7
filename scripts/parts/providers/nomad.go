package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"sort"
	"strconv"
	"strings"

	"github.com/hashicorp/terraform-plugin-sdk/v2/diag"
	"github.com/hashicorp/terraform-plugin-sdk/v2/helper/schema"
)

func nomad() *schema.Provider {
	job := &schema.Resource{
		Schema: attributes(`
			jobspec string required
			deregister_on_destroy bool =true
			deregister_on_id_change bool =true
			detach bool =true
			json bool
			policy_override bool
			purge_on_destroy bool
			read_allocation_ids bool =false
			rerun_if_dead bool =false
			name string computed
			namespace string computed
			type string computed
			region string computed
			datacenters list computed
			modify_index string computed
			status string computed
		`),
		CreateContext: register,
		ReadContext:   readJob,
		UpdateContext: register,
		DeleteContext: deregister,
		CustomizeDiff: planJob,
	}
	job.Schema["hcl2"] = block(`
		allow_fs bool =false
		vars map
	`)
	policy := &schema.Resource{
		Schema: attributes(`
			name string required new
			rules_hcl string required
			description string
		`),
		CreateContext: putPolicy,
		ReadContext:   readPolicy,
		UpdateContext: putPolicy,
		DeleteContext: func(ctx context.Context, d *schema.ResourceData, meta any) diag.Diagnostics {
			_, err := meta.(*server).ask(ctx, "DELETE", "/v1/acl/policy/"+d.Id(), nil, nil)
			return diag.FromErr(err)
		},
	}
	policy.Schema["job_acl"] = block(`
		job_id string required
		namespace string =default
		group string
		task string
	`)
	namespace := &schema.Resource{
		Schema: attributes(`
			name string required new
			description string
			meta map
			quota string
		`),
		CreateContext: putNamespace,
		ReadContext:   readNamespace,
		UpdateContext: putNamespace,
		DeleteContext: func(ctx context.Context, d *schema.ResourceData, meta any) diag.Diagnostics {
			_, err := meta.(*server).ask(ctx, "DELETE", "/v1/namespace/"+d.Id(), nil, nil)
			return diag.FromErr(err)
		},
	}
	namespace.Schema["capabilities"] = block(`
		enabled_task_drivers list
		disabled_task_drivers list
		enabled_network_modes list
		disabled_network_modes list
	`)
	namespace.Schema["node_pool_config"] = block(`
		default string computed optional
		allowed set
		denied set
	`)
	provider := &schema.Provider{
		Schema: attributes(`
			address string required
			ca_file string
			ca_pem string
			cert_file string
			cert_pem string
			http_auth string
			ignore_env_vars map
			key_file string
			key_pem string
			region string
			secret_id string
			skip_verify bool
		`),
		ResourcesMap: map[string]*schema.Resource{
			"nomad_job": job, "nomad_acl_policy": policy, "nomad_namespace": namespace,
		},
	}
	provider.Schema["address"].DefaultFunc = schema.EnvDefaultFunc("NOMAD_ADDR", nil)
	provider.ConfigureContextFunc = func(_ context.Context, d *schema.ResourceData) (any, diag.Diagnostics) {
		token := d.Get("secret_id").(string)
		if token == "" {
			token = os.Getenv("NOMAD_TOKEN")
		}
		headers := map[string]string{"X-Nomad-Token": token}
		return &server{strings.TrimSuffix(d.Get("address").(string), "/"), headers}, nil
	}
	return provider
}

// variables writes what `-var` would take as a file of variables: what is JSON stands for itself, anything else is
// a text.
func variables(of map[string]any) string {
	names := []string{}
	for name := range of {
		names = append(names, name)
	}
	sort.Strings(names)
	text := strings.Builder{}
	for _, name := range names {
		value := of[name].(string)
		if !json.Valid([]byte(value)) {
			quoted, _ := json.Marshal(value)
			value = strings.NewReplacer(
				"${", "$${", "%{", "%%{", `\u003c`, "<", `\u003e`, ">", `\u0026`, "&",
			).Replace(string(quoted))
		}
		fmt.Fprintf(&text, "%s = %s\n", name, value)
	}
	return text.String()
}

type getter interface{ Get(string) any }

// parsed is the job that a jobspec describes; the real provider reads it itself, this one asks Nomad.
func parsed(ctx context.Context, d getter, meta any) (map[string]any, error) {
	values := map[string]any{}
	if blocks := d.Get("hcl2").([]any); len(blocks) == 1 && blocks[0] != nil {
		values = blocks[0].(map[string]any)["vars"].(map[string]any)
	}
	for name := range values {
		if !strings.Contains(d.Get("jobspec").(string), fmt.Sprintf("variable %q", name)) {
			return nil, fmt.Errorf("the jobspec has no variable %q", name)
		}
	}
	body := map[string]any{"JobHCL": d.Get("jobspec"), "Variables": variables(values), "Canonicalize": false}
	job := map[string]any{}
	_, err := meta.(*server).ask(ctx, "POST", "/v1/jobs/parse", body, &job)
	return job, err
}

func planJob(ctx context.Context, d *schema.ResourceDiff, meta any) error {
	// With other variables alone the real one does not look at what the job is called then.
	if !d.NewValueKnown("jobspec") || !d.NewValueKnown("hcl2") || (d.Id() != "" && !d.HasChange("jobspec")) {
		return nil
	}
	job, err := parsed(ctx, d, meta)
	if err != nil {
		return err
	}
	for name, field := range map[string]string{"name": "ID", "type": "Type", "namespace": "Namespace"} {
		if err := d.SetNew(name, job[field]); err != nil {
			return err
		}
	}
	old, _ := d.GetChange("namespace")
	if d.Id() != "" && (d.Id() != job["ID"] || old != job["Namespace"]) {
		if err := d.ForceNew("name"); err != nil {
			return d.ForceNew("namespace")
		}
	}
	return d.SetNewComputed("modify_index")
}

func register(ctx context.Context, d *schema.ResourceData, meta any) diag.Diagnostics {
	job, err := parsed(ctx, d, meta)
	if err != nil {
		return diag.FromErr(err)
	}
	if _, err := meta.(*server).ask(ctx, "PUT", "/v1/jobs", map[string]any{"Job": job}, nil); err != nil {
		return diag.FromErr(err)
	}
	d.SetId(job["ID"].(string))
	if said := set(d, map[string]any{"namespace": job["Namespace"]}); said != nil {
		return said
	}
	return readJob(ctx, d, meta)
}

func jobPath(d *schema.ResourceData) string {
	return "/v1/job/" + url.PathEscape(d.Id()) + "?namespace=" + url.QueryEscape(d.Get("namespace").(string))
}

func readJob(ctx context.Context, d *schema.ResourceData, meta any) diag.Diagnostics {
	var job struct {
		ID, Type, Region, Namespace, Status string
		Datacenters                         []string
		JobModifyIndex                      uint64
	}
	if _, err := meta.(*server).ask(ctx, "GET", jobPath(d), nil, &job); err != nil {
		return gone(d, err)
	}
	return set(d, map[string]any{
		"name": job.ID, "type": job.Type, "region": job.Region, "namespace": job.Namespace, "status": job.Status,
		"datacenters": job.Datacenters, "modify_index": strconv.FormatUint(job.JobModifyIndex, 10),
	})
}

func deregister(ctx context.Context, d *schema.ResourceData, meta any) diag.Diagnostics {
	if !d.Get("deregister_on_destroy").(bool) {
		return nil
	}
	path := fmt.Sprintf("%s&purge=%t", jobPath(d), d.Get("purge_on_destroy"))
	_, err := meta.(*server).ask(ctx, "DELETE", path, nil, nil)
	return diag.FromErr(err)
}

type policy struct {
	Name, Description, Rules string
	JobACL                   *jobACL `json:",omitempty"`
}

type jobACL struct{ Namespace, JobID, Group, Task string }

func putPolicy(ctx context.Context, d *schema.ResourceData, meta any) diag.Diagnostics {
	one := policy{Name: d.Get("name").(string), Description: d.Get("description").(string), Rules: d.Get("rules_hcl").(string)}
	if of := within(d, "job_acl"); of != nil {
		text := func(name string) string { return of[name].(string) }
		one.JobACL = &jobACL{text("namespace"), text("job_id"), text("group"), text("task")}
	}
	if _, err := meta.(*server).ask(ctx, "PUT", "/v1/acl/policy/"+one.Name, one, nil); err != nil {
		return diag.FromErr(err)
	}
	d.SetId(one.Name)
	return readPolicy(ctx, d, meta)
}

func readPolicy(ctx context.Context, d *schema.ResourceData, meta any) diag.Diagnostics {
	var one policy
	if _, err := meta.(*server).ask(ctx, "GET", "/v1/acl/policy/"+d.Id(), nil, &one); err != nil {
		return gone(d, err)
	}
	attached := []any{}
	if of := one.JobACL; of != nil {
		attached = append(attached, map[string]any{
			"namespace": of.Namespace, "job_id": of.JobID, "group": of.Group, "task": of.Task,
		})
	}
	return set(d, map[string]any{
		"name": one.Name, "description": one.Description, "rules_hcl": one.Rules, "job_acl": attached,
	})
}

func putNamespace(ctx context.Context, d *schema.ResourceData, meta any) diag.Diagnostics {
	name := d.Get("name").(string)
	body := map[string]any{"Name": name, "Description": d.Get("description"), "Meta": d.Get("meta")}
	if _, err := meta.(*server).ask(ctx, "PUT", "/v1/namespace", body, nil); err != nil {
		return diag.FromErr(err)
	}
	d.SetId(name)
	return readNamespace(ctx, d, meta)
}

func readNamespace(ctx context.Context, d *schema.ResourceData, meta any) diag.Diagnostics {
	var one struct {
		Name, Description string
		Meta              map[string]string
	}
	if _, err := meta.(*server).ask(ctx, "GET", "/v1/namespace/"+d.Id(), nil, &one); err != nil {
		return gone(d, err)
	}
	return set(d, map[string]any{"name": one.Name, "description": one.Description, "meta": one.Meta})
}
