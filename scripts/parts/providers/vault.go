package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/hashicorp/go-cty/cty"
	"github.com/hashicorp/terraform-plugin-sdk/v2/diag"
	"github.com/hashicorp/terraform-plugin-sdk/v2/helper/schema"
)

func vault() *schema.Provider {
	entry := &schema.Resource{
		Schema: attributes(`
			mount string required new
			name string required new
			cas int
			data_json string secret
			data_json_wo string written
			data_json_wo_version int
			delete_all_versions bool =false
			disable_read bool =false
			namespace string new
			options map
			data map computed secret
			metadata map computed
			path string computed
		`),
		CreateContext: putEntry,
		ReadContext:   readEntry,
		UpdateContext: putEntry,
		DeleteContext: func(ctx context.Context, d *schema.ResourceData, meta any) diag.Diagnostics {
			part := "data"
			if d.Get("delete_all_versions").(bool) {
				part = "metadata"
			}
			_, err := meta.(*server).ask(ctx, "DELETE", entryPath(d, part), nil, nil)
			return diag.FromErr(err)
		},
	}
	entry.Schema["custom_metadata"] = block(`
		cas_required bool
		data map
		delete_version_after int
		max_versions int
	`)
	provider := &schema.Provider{
		Schema: attributes(`
			address string
			add_address_to_env string
			ca_cert_dir string
			ca_cert_file string
			max_lease_ttl_seconds int
			max_retries int
			max_retries_ccc int
			namespace string
			set_namespace_from_token bool
			skip_child_token bool
			skip_get_vault_version bool
			skip_tls_verify bool
			tls_server_name string
			token string
			token_name string
			vault_version_override string
		`),
		ResourcesMap: map[string]*schema.Resource{
			"vault_kv_secret_v2": entry,
			"vault_policy": {
				Schema: attributes(`
					name string required new
					policy string required
					allow_overwrite bool =true
					namespace string new
				`),
				CreateContext: putRules,
				ReadContext:   readRules,
				UpdateContext: putRules,
				DeleteContext: func(ctx context.Context, d *schema.ResourceData, meta any) diag.Diagnostics {
					_, err := meta.(*server).ask(ctx, "DELETE", "/v1/sys/policies/acl/"+d.Id(), nil, nil)
					return diag.FromErr(err)
				},
			},
			"vault_jwt_auth_backend_role": {
				Schema: attributes(`
					role_name string required new
					user_claim string required
					alias_metadata map
					allowed_redirect_uris set
					backend string new =jwt
					bound_audiences set
					bound_claims map
					bound_claims_type string computed optional
					bound_subject string
					claim_mappings map
					clock_skew_leeway int
					disable_bound_claims_parsing bool
					expiration_leeway int
					groups_claim string
					max_age int
					namespace string new
					not_before_leeway int
					oidc_scopes set
					role_type string computed optional
					token_bound_cidrs set
					token_explicit_max_ttl int
					token_max_ttl int
					token_no_default_policy bool
					token_num_uses int
					token_period int
					token_policies set
					token_ttl int
					token_type string
					user_claim_json_pointer bool
					verbose_oidc_logging bool
				`),
				CreateContext: putRole,
				ReadContext:   readRole,
				UpdateContext: putRole,
				DeleteContext: func(ctx context.Context, d *schema.ResourceData, meta any) diag.Diagnostics {
					_, err := meta.(*server).ask(ctx, "DELETE", "/v1/"+d.Id(), nil, nil)
					return diag.FromErr(err)
				},
			},
		},
	}
	provider.ConfigureContextFunc = func(_ context.Context, d *schema.ResourceData) (any, diag.Diagnostics) {
		said := func(name, variable string) string {
			if value := d.Get(name).(string); value != "" {
				return value
			}
			return os.Getenv(variable)
		}
		headers := map[string]string{"X-Vault-Token": said("token", "VAULT_TOKEN")}
		return &server{strings.TrimSuffix(said("address", "VAULT_ADDR"), "/"), headers}, nil
	}
	return provider
}

func entryPath(d *schema.ResourceData, part string) string {
	return fmt.Sprintf("/v1/%s/%s/%s", d.Get("mount"), part, d.Get("name"))
}

func putEntry(ctx context.Context, d *schema.ResourceData, meta any) diag.Diagnostics {
	text := d.Get("data_json").(string)
	written, said := d.GetRawConfigAt(cty.GetAttrPath("data_json_wo"))
	if said.HasError() {
		return said
	}
	if !written.IsNull() {
		text = written.AsString()
	}
	// A write-only value is written where its version says so, and no other change makes another version of the entry.
	if d.IsNewResource() || d.HasChanges("data_json", "data_json_wo_version") {
		data := map[string]any{}
		if err := json.Unmarshal([]byte(text), &data); err != nil {
			return diag.Errorf("the data is no JSON object: %s", err)
		}
		if _, err := meta.(*server).ask(ctx, "POST", entryPath(d, "data"), map[string]any{"data": data}, nil); err != nil {
			return diag.FromErr(err)
		}
	}
	d.SetId(fmt.Sprintf("%s/data/%s", d.Get("mount"), d.Get("name")))
	return readEntry(ctx, d, meta)
}

func readEntry(ctx context.Context, d *schema.ResourceData, meta any) diag.Diagnostics {
	if d.Get("disable_read").(bool) {
		return set(d, map[string]any{"path": d.Id()})
	}
	var seen struct {
		Data struct{ Data, Metadata map[string]any }
	}
	if _, err := meta.(*server).ask(ctx, "GET", entryPath(d, "data"), nil, &seen); err != nil {
		return gone(d, err)
	}
	// What is write-only stays out of the state.
	data, metadata := map[string]any{}, map[string]any{}
	if d.Get("data_json").(string) != "" {
		data = seen.Data.Data
	}
	for name, value := range seen.Data.Metadata {
		metadata[name] = fmt.Sprint(value)
	}
	return set(d, map[string]any{"path": d.Id(), "data": data, "metadata": metadata})
}

func putRules(ctx context.Context, d *schema.ResourceData, meta any) diag.Diagnostics {
	name := d.Get("name").(string)
	body := map[string]any{"policy": d.Get("policy")}
	if _, err := meta.(*server).ask(ctx, "PUT", "/v1/sys/policies/acl/"+name, body, nil); err != nil {
		return diag.FromErr(err)
	}
	d.SetId(name)
	return readRules(ctx, d, meta)
}

func readRules(ctx context.Context, d *schema.ResourceData, meta any) diag.Diagnostics {
	var seen struct{ Data struct{ Policy string } }
	if _, err := meta.(*server).ask(ctx, "GET", "/v1/sys/policies/acl/"+d.Id(), nil, &seen); err != nil {
		return gone(d, err)
	}
	return set(d, map[string]any{"name": d.Id(), "policy": seen.Data.Policy})
}

func putRole(ctx context.Context, d *schema.ResourceData, meta any) diag.Diagnostics {
	path := fmt.Sprintf("auth/%s/role/%s", d.Get("backend"), d.Get("role_name"))
	body := map[string]any{
		"role_type": d.Get("role_type"), "user_claim": d.Get("user_claim"), "bound_claims": d.Get("bound_claims"),
		"bound_audiences": texts(d, "bound_audiences"), "token_policies": texts(d, "token_policies"),
		"token_period": d.Get("token_period"), "token_ttl": d.Get("token_ttl"), "token_type": d.Get("token_type"),
		"claim_mappings": d.Get("claim_mappings"), "user_claim_json_pointer": d.Get("user_claim_json_pointer"),
	}
	if _, err := meta.(*server).ask(ctx, "POST", "/v1/"+path, body, nil); err != nil {
		return diag.FromErr(err)
	}
	d.SetId(path)
	return readRole(ctx, d, meta)
}

func readRole(ctx context.Context, d *schema.ResourceData, meta any) diag.Diagnostics {
	var seen struct{ Data map[string]any }
	if _, err := meta.(*server).ask(ctx, "GET", "/v1/"+d.Id(), nil, &seen); err != nil {
		return gone(d, err)
	}
	values := map[string]any{}
	for _, name := range []string{
		"role_type", "user_claim", "bound_claims", "bound_audiences", "token_policies", "token_period", "token_ttl", "token_type",
		"claim_mappings", "user_claim_json_pointer", "bound_claims_type",
	} {
		values[name] = seen.Data[name]
	}
	return set(d, values)
}
