package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6/tf6server"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/tidelinehq/tideline/deploy/check/terraform/schema"
)

// serve answers Terraform with the schema beside the program.
func serve() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(filepath.Dir(self), schemaFile))
	if err != nil {
		return err
	}
	var p schema.Provider
	if err := json.Unmarshal(text, &p); err != nil {
		return fmt.Errorf("%s: %w", schemaFile, err)
	}
	return tf6server.Serve("registry.terraform.io/hashicorp/"+p.Name, func() tfprotov6.ProviderServer { return &provider{p: &p} })
}

// provider has the schema and nothing else: what is not written out here is never asked while the provider is mocked, and
// whoever asks nevertheless gets a panic, which Terraform reports.
type provider struct {
	tfprotov6.ProviderServer
	p *schema.Provider
}

func (s *provider) GetMetadata(context.Context, *tfprotov6.GetMetadataRequest) (*tfprotov6.GetMetadataResponse, error) {
	r := &tfprotov6.GetMetadataResponse{ServerCapabilities: &tfprotov6.ServerCapabilities{}}
	for _, name := range slices.Sorted(maps.Keys(s.p.Resources)) {
		r.Resources = append(r.Resources, tfprotov6.ResourceMetadata{TypeName: name})
	}
	for _, name := range slices.Sorted(maps.Keys(s.p.Data)) {
		r.DataSources = append(r.DataSources, tfprotov6.DataSourceMetadata{TypeName: name})
	}
	return r, nil
}

func (s *provider) GetProviderSchema(context.Context, *tfprotov6.GetProviderSchemaRequest) (*tfprotov6.GetProviderSchemaResponse, error) {
	r := &tfprotov6.GetProviderSchemaResponse{
		ServerCapabilities: &tfprotov6.ServerCapabilities{},
		Provider:           &tfprotov6.Schema{Block: block(s.p.Config)},
		ResourceSchemas:    make(map[string]*tfprotov6.Schema),
		DataSourceSchemas:  make(map[string]*tfprotov6.Schema),
	}
	for name, b := range s.p.Resources {
		r.ResourceSchemas[name] = &tfprotov6.Schema{Block: block(b)}
	}
	for name, b := range s.p.Data {
		r.DataSourceSchemas[name] = &tfprotov6.Schema{Block: block(b)}
	}
	return r, nil
}

func (s *provider) GetResourceIdentitySchemas(context.Context, *tfprotov6.GetResourceIdentitySchemasRequest) (*tfprotov6.GetResourceIdentitySchemasResponse, error) {
	return &tfprotov6.GetResourceIdentitySchemasResponse{}, nil
}

func (s *provider) ValidateProviderConfig(_ context.Context, r *tfprotov6.ValidateProviderConfigRequest) (*tfprotov6.ValidateProviderConfigResponse, error) {
	return &tfprotov6.ValidateProviderConfigResponse{PreparedConfig: r.Config}, nil
}

func (s *provider) ValidateResourceConfig(context.Context, *tfprotov6.ValidateResourceConfigRequest) (*tfprotov6.ValidateResourceConfigResponse, error) {
	return &tfprotov6.ValidateResourceConfigResponse{}, nil
}

func (s *provider) ValidateDataResourceConfig(context.Context, *tfprotov6.ValidateDataResourceConfigRequest) (*tfprotov6.ValidateDataResourceConfigResponse, error) {
	return &tfprotov6.ValidateDataResourceConfigResponse{}, nil
}

func (s *provider) StopProvider(context.Context, *tfprotov6.StopProviderRequest) (*tfprotov6.StopProviderResponse, error) {
	return &tfprotov6.StopProviderResponse{}, nil
}

var nestings = map[string]tfprotov6.SchemaNestedBlockNestingMode{
	"single": tfprotov6.SchemaNestedBlockNestingModeSingle,
	"list":   tfprotov6.SchemaNestedBlockNestingModeList,
	"set":    tfprotov6.SchemaNestedBlockNestingModeSet,
}

func block(b *schema.Block) *tfprotov6.SchemaBlock {
	out := &tfprotov6.SchemaBlock{Attributes: attributes(b)}
	for _, name := range slices.Sorted(maps.Keys(b.Blocks)) {
		n := b.Blocks[name]
		nb := &tfprotov6.SchemaNestedBlock{TypeName: name, Block: block(n.Block), Nesting: nestings[n.Nesting]}
		if n.Nesting != "single" {
			if n.Required {
				nb.MinItems = 1
			}
			if n.One {
				nb.MaxItems = 1
			}
		}
		out.BlockTypes = append(out.BlockTypes, nb)
	}
	return out
}

func attributes(b *schema.Block) []*tfprotov6.SchemaAttribute {
	var all []*tfprotov6.SchemaAttribute
	for _, name := range slices.Sorted(maps.Keys(b.Attributes)) {
		a := b.Attributes[name]
		out := &tfprotov6.SchemaAttribute{Name: name, Required: a.Required, Optional: a.Optional, Computed: a.Computed}
		if out.NestedType = object(a); out.NestedType == nil {
			out.Type = valueType(a.Type)
		}
		all = append(all, out)
	}
	return all
}

// object is the nested type of an attribute whose members may be left out: one that can be written.
func object(a *schema.Attribute) *tfprotov6.SchemaObject {
	if !a.Required && !a.Optional {
		return nil
	}
	of, nesting := a.Type, tfprotov6.SchemaObjectNestingModeSingle
	switch a.Type.Kind {
	case "list":
		of, nesting = *a.Type.Elem, tfprotov6.SchemaObjectNestingModeList
	case "set":
		of, nesting = *a.Type.Elem, tfprotov6.SchemaObjectNestingModeSet
	case "map":
		of, nesting = *a.Type.Elem, tfprotov6.SchemaObjectNestingModeMap
	}
	if of.Kind != "object" {
		return nil
	}
	return &tfprotov6.SchemaObject{Attributes: attributes(of.Object), Nesting: nesting}
}

func valueType(t schema.Type) tftypes.Type {
	switch t.Kind {
	case "string":
		return tftypes.String
	case "number":
		return tftypes.Number
	case "bool":
		return tftypes.Bool
	case "list":
		return tftypes.List{ElementType: valueType(*t.Elem)}
	case "set":
		return tftypes.Set{ElementType: valueType(*t.Elem)}
	case "map":
		return tftypes.Map{ElementType: valueType(*t.Elem)}
	case "object":
		members := make(map[string]tftypes.Type)
		for name, a := range t.Object.Attributes {
			members[name] = valueType(a.Type)
		}
		return tftypes.Object{AttributeTypes: members}
	}
	return tftypes.DynamicPseudoType
}
