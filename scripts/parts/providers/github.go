package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/hashicorp/terraform-plugin-sdk/v2/diag"
	"github.com/hashicorp/terraform-plugin-sdk/v2/helper/schema"
)

type owner struct {
	server
	name string
}

func github() *schema.Provider {
	provider := &schema.Provider{
		Schema: attributes(`
			base_url string
			cache_path string
			insecure bool
			legacy_client bool
			max_per_page int
			max_retries int
			organization string
			owner string
			parallel_requests bool
			read_delay_ms int
			retry_delay_ms int
			retryable_errors ints
			token string
			write_delay_ms int
		`),
		ResourcesMap: map[string]*schema.Resource{
			"github_repository_webhook": webhook("repos", attributes(`
				repository string required new
				events set required
				active bool =true
				etag string computed optional
				url string computed
			`)),
			"github_organization_webhook": webhook("orgs", attributes(`
				events set required
				active bool =true
				etag string computed
				url string computed
			`)),
		},
		DataSourcesMap: map[string]*schema.Resource{"github_repositories": {
			Schema: attributes(`
				query string required
				include_repo_id bool =false
				results_per_page int =100
				sort string =updated
				full_names list computed
				names list computed
				repo_ids ints computed
			`),
			ReadContext: search,
		}},
	}
	provider.Schema["app_auth"] = block(`
		id string
		installation_id string
		pem_file string
	`)
	provider.ConfigureContextFunc = func(ctx context.Context, d *schema.ResourceData) (any, diag.Diagnostics) {
		said := func(name, variable string) string {
			if value := d.Get(name).(string); value != "" {
				return value
			}
			return os.Getenv(variable)
		}
		address := strings.TrimSuffix(said("base_url", "GITHUB_BASE_URL"), "/")
		switch {
		case address == "" || address == "https://api.github.com":
			address = "https://api.github.com"
		default:
			// Any other host is an Enterprise Server.
			address = strings.TrimSuffix(address, "/api/v3") + "/api/v3"
		}
		token := said("token", "GITHUB_TOKEN")
		headers := map[string]string{"Accept": "application/vnd.github+json", "Authorization": "Bearer " + token}
		self := &owner{server{address, headers}, said("owner", "GITHUB_OWNER")}
		if self.name == "" {
			var user struct{ Login string }
			_, err := self.ask(ctx, "GET", "/user", nil, &user)
			self.name = user.Login
			return self, diag.FromErr(err)
		}
		// A user's answer is 404.
		_, _ = self.ask(ctx, "GET", "/orgs/"+self.name, nil, nil)
		return self, nil
	}
	return provider
}

type hook struct {
	ID     int64      `json:"id,omitempty"`
	Name   string     `json:"name,omitempty"`
	URL    string     `json:"url,omitempty"`
	Events []string   `json:"events"`
	Active bool       `json:"active"`
	Config hookConfig `json:"config"`
}

type hookConfig struct {
	URL         string `json:"url"`
	ContentType string `json:"content_type"`
	InsecureSSL string `json:"insecure_ssl"`
	Secret      string `json:"secret,omitempty"`
}

// webhook is the resource of a repository (`repos`) or of an organization (`orgs`).
func webhook(of string, fields map[string]*schema.Schema) *schema.Resource {
	fields["configuration"] = block(`
		url string required
		content_type string
		insecure_ssl bool =false
		secret string secret
	`)
	path := func(d *schema.ResourceData, meta any) string {
		if of == "orgs" {
			return "/orgs/" + meta.(*owner).name + "/hooks"
		}
		return fmt.Sprintf("/repos/%s/%s/hooks", meta.(*owner).name, d.Get("repository"))
	}
	wanted := func(d *schema.ResourceData) hook {
		one := hook{Name: "web", Events: texts(d, "events"), Active: d.Get("active").(bool)}
		if config := within(d, "configuration"); config != nil {
			one.Config.URL = config["url"].(string)
			one.Config.ContentType = config["content_type"].(string)
			one.Config.Secret = config["secret"].(string)
			one.Config.InsecureSSL = "0"
			if config["insecure_ssl"].(bool) {
				one.Config.InsecureSSL = "1"
			}
		}
		return one
	}
	read := func(ctx context.Context, d *schema.ResourceData, meta any) diag.Diagnostics {
		var seen hook
		header, err := meta.(*owner).ask(ctx, "GET", path(d, meta)+"/"+d.Id(), nil, &seen)
		if err != nil {
			return gone(d, err)
		}
		config := map[string]any{
			"url": seen.Config.URL, "content_type": seen.Config.ContentType, "insecure_ssl": seen.Config.InsecureSSL == "1",
		}
		// GitHub shows asterisks where there is a secret: the one of the state stays.
		if known := within(d, "configuration"); known != nil && seen.Config.Secret != "" {
			config["secret"] = known["secret"]
		}
		return set(d, map[string]any{
			"url": seen.URL, "active": seen.Active, "events": seen.Events, "etag": header.Get("Etag"),
			"configuration": []any{config},
		})
	}
	return &schema.Resource{
		Schema: fields,
		CreateContext: func(ctx context.Context, d *schema.ResourceData, meta any) diag.Diagnostics {
			var made hook
			if _, err := meta.(*owner).ask(ctx, "POST", path(d, meta), wanted(d), &made); err != nil {
				return diag.FromErr(err)
			}
			d.SetId(strconv.FormatInt(made.ID, 10))
			return read(ctx, d, meta)
		},
		ReadContext: read,
		UpdateContext: func(ctx context.Context, d *schema.ResourceData, meta any) diag.Diagnostics {
			changed := wanted(d)
			changed.Name = ""
			if _, err := meta.(*owner).ask(ctx, "PATCH", path(d, meta)+"/"+d.Id(), changed, nil); err != nil {
				return diag.FromErr(err)
			}
			return read(ctx, d, meta)
		},
		DeleteContext: func(ctx context.Context, d *schema.ResourceData, meta any) diag.Diagnostics {
			_, err := meta.(*owner).ask(ctx, "DELETE", path(d, meta)+"/"+d.Id(), nil, nil)
			return diag.FromErr(err)
		},
	}
}

func search(ctx context.Context, d *schema.ResourceData, meta any) diag.Diagnostics {
	names, full := []string{}, []string{}
	ids := []int64{}
	query := url.Values{
		"q": {d.Get("query").(string)}, "sort": {d.Get("sort").(string)},
		"per_page": {strconv.Itoa(d.Get("results_per_page").(int))},
	}
	for page := 1; ; page++ {
		query.Set("page", strconv.Itoa(page))
		var found struct {
			Items []struct {
				ID       int64
				Name     string
				FullName string `json:"full_name"`
			}
		}
		header, err := meta.(*owner).ask(ctx, "GET", "/search/repositories?"+query.Encode(), nil, &found)
		if err != nil {
			return diag.FromErr(err)
		}
		for _, one := range found.Items {
			names, full, ids = append(names, one.Name), append(full, one.FullName), append(ids, one.ID)
		}
		if !strings.Contains(header.Get("Link"), `rel="next"`) {
			break
		}
	}
	if !d.Get("include_repo_id").(bool) {
		ids = nil
	}
	d.SetId(d.Get("query").(string))
	return set(d, map[string]any{"names": names, "full_names": full, "repo_ids": ids})
}
