// Package modules reads Terraform modules without Terraform, so that `make test`
// can hold them against each other on a machine that has none.
//
// [Load] takes what the language's own parser finds in a directory of .tf files:
// variables, outputs, required providers, resources. [Module.Page] makes the
// tables of a README from it; [Fill] puts them between the two marks of a README
// that was written by hand.
//
// The tests look at the real modules: they parse, the clouds have the same
// variables and outputs with the same words, each README is up to date, each
// finding of a linter that is suppressed has its reason beside it, and what was
// never applied says so.
//
// It knows nothing about providers: whether a resource has an argument of that
// name is checked by `make terraform-schema`.
package modules
