// Package schema takes the schema of Terraform providers out of their published
// typings, so that modules for clouds whose providers cannot be had can still be
// held against what these providers take.
//
// The typings are the packages that the makers of Terraform generated for their
// CDK from each provider's own schema: a directory for each resource, whose
// index.js ends in a source map that holds the TypeScript it was compiled from.
//
//	lib/compute-disk/index.js → index.ts
//
//	  export interface ComputeDiskConfig   which of its members are blocks
//	  export class ComputeDisk …           the resource
//	    // size - computed: true, optional: true, required: false
//	    …getNumberAttribute('size')        what can be read, and its type
//	    synthesizeHclAttributes            what can be written
//	  export function computeDiskGuestOsFeaturesToHclTerraform
//	  export class ComputeDiskGuestOsFeaturesOutputReference
//	                                       the same of each block in it
//
// [Source] finds the TypeScript, [Extract] reads it. What results is what
// `terraform validate` and a mocked plan need: names, nesting, types, required or
// not. What it cannot tell: which values a provider refuses, and what conflicts
// with what. So a module that passes is spelled right; it was not applied.
//
// The files are generated and regular, so they are read with regular expressions:
// what these do not understand is an error, never a guess.
package schema
