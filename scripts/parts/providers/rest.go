package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/hashicorp/terraform-plugin-sdk/v2/diag"
	"github.com/hashicorp/terraform-plugin-sdk/v2/helper/schema"
)

// server is an API: its address without a slash at its end, and the headers of every request.
type server struct {
	address string
	headers map[string]string
}

type refusal struct {
	request, said string
	status        int
}

func (r *refusal) Error() string { return fmt.Sprintf("%s: %d %s", r.request, r.status, r.said) }

// ask makes a request, and reads its JSON into `answer` unless that is nil.
func (s *server) ask(ctx context.Context, method, path string, body, answer any) (http.Header, error) {
	sent := []byte{}
	if body != nil {
		var err error
		if sent, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, s.address+path, bytes.NewReader(sent))
	if err != nil {
		return nil, err
	}
	for name, value := range s.headers {
		request.Header.Set(name, value)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode >= 300 {
		said := strings.TrimSpace(string(got))
		return nil, &refusal{method + " " + path, said, response.StatusCode}
	}
	if answer == nil {
		return response.Header, nil
	}
	return response.Header, json.Unmarshal(got, answer)
}

// gone takes a resource out of the state where it is not there any more.
func gone(d *schema.ResourceData, err error) diag.Diagnostics {
	if refused, ok := err.(*refusal); ok && refused.status == http.StatusNotFound {
		d.SetId("")
		return nil
	}
	return diag.FromErr(err)
}

// set writes what was read into the state.
func set(d *schema.ResourceData, values map[string]any) diag.Diagnostics {
	for name, value := range values {
		if err := d.Set(name, value); err != nil {
			return diag.Errorf("%s: %s", name, err)
		}
	}
	return nil
}
