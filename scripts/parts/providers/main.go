// Stand-ins for three Terraform providers, for tests of the module in deploy/terraform where the real ones cannot be
// had: the resources that the module uses, with the attributes of the real ones, which a test compares with the
// published bindings, and with the requests that they make. Which one a process is, its file's name says:
// terraform-provider-github_v…, terraform-provider-nomad_v…, terraform-provider-vault_v….
package main

import (
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/terraform-plugin-sdk/v2/helper/schema"
	"github.com/hashicorp/terraform-plugin-sdk/v2/plugin"
)

var providers = map[string]func() *schema.Provider{"github": github, "nomad": nomad, "vault": vault}

func main() {
	name := strings.TrimPrefix(filepath.Base(os.Args[0]), "terraform-provider-")
	name, _, _ = strings.Cut(name, "_v")
	provider, known := providers[name]
	if !known {
		log.Fatalf("%s: its name says none of github, nomad and vault", os.Args[0])
	}
	plugin.Serve(&plugin.ServeOpts{ProviderFunc: provider})
}
