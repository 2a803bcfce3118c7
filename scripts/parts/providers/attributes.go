package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/hashicorp/terraform-plugin-sdk/v2/helper/schema"
)

// attributes reads a schema, an attribute a line: its name, its type, and any of `required`, `computed`, `new`
// (another value is another resource), `secret`, `written` (write-only) and `=DEFAULT`. What is neither required
// nor computed is optional; `computed optional` is both.
func attributes(text string) map[string]*schema.Schema {
	all := map[string]*schema.Schema{}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		one := typed(words[1])
		optional := true
		for _, word := range words[2:] {
			switch word {
			case "required":
				one.Required, optional = true, false
			case "computed":
				one.Computed, optional = true, false
			case "optional":
				optional = true
			case "new":
				one.ForceNew = true
			case "secret":
				one.Sensitive = true
			case "written":
				one.WriteOnly = true
			default:
				one.Default = value(one.Type, strings.TrimPrefix(word, "="))
			}
		}
		one.Optional = optional
		all[words[0]] = one
	}
	return all
}

func typed(word string) *schema.Schema {
	text := &schema.Schema{Type: schema.TypeString}
	switch word {
	case "string":
		return &schema.Schema{Type: schema.TypeString}
	case "bool":
		return &schema.Schema{Type: schema.TypeBool}
	case "int":
		return &schema.Schema{Type: schema.TypeInt}
	case "map":
		return &schema.Schema{Type: schema.TypeMap, Elem: text}
	case "list":
		return &schema.Schema{Type: schema.TypeList, Elem: text}
	case "ints":
		return &schema.Schema{Type: schema.TypeList, Elem: &schema.Schema{Type: schema.TypeInt}}
	case "set":
		return &schema.Schema{Type: schema.TypeSet, Elem: text}
	}
	panic(fmt.Sprintf("no type %q", word))
}

func value(of schema.ValueType, text string) any {
	switch of {
	case schema.TypeBool:
		return text == "true"
	case schema.TypeInt:
		number, _ := strconv.Atoi(text)
		return number
	}
	return text
}

// block is a block that may be there once.
func block(text string) *schema.Schema {
	return &schema.Schema{
		Type: schema.TypeList, Optional: true, MaxItems: 1, Elem: &schema.Resource{Schema: attributes(text)},
	}
}

// within is what an optional block holds; nil where it is not there.
func within(d *schema.ResourceData, name string) map[string]any {
	if blocks := d.Get(name).([]any); len(blocks) == 1 && blocks[0] != nil {
		return blocks[0].(map[string]any)
	}
	return nil
}

func texts(d *schema.ResourceData, name string) []string {
	values := []any{}
	switch list := d.Get(name).(type) {
	case []any:
		values = list
	case *schema.Set:
		values = list.List()
	}
	all := []string{}
	for _, one := range values {
		all = append(all, one.(string))
	}
	return all
}
