package modules

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const source = `
terraform {
  required_version = ">= 1.9.0"

  required_providers {
    cloud = {
      source  = "example/cloud"
      version = "~> 2.0"
    }
  }
}

variable "size" {
  description = "How large: 1 | 2."
  type        = number
  default     = 1

  validation {
    condition     = var.size > 0
    error_message = "size must be 1 or 2."
  }
}

variable "disk" {
  description = <<-EOT
    The disk,
    with its type.
  EOT
  type = object({
    type = optional(string, "fast")
    size = optional(number, 200)
  })
  sensitive = true
}

data "cloud_zones" "all" {}

resource "cloud_machine" "node" {
  for_each = data.cloud_zones.all.names
}

resource "cloud_machine" "witness" {}

output "address" {
  description = "Where it is."
  value       = cloud_machine.witness.address
  sensitive   = true
}
`

const page = "## What it needs\n" + `
| | version |
|---|---|
| Terraform | >= 1.9.0 |
| example/cloud | ~> 2.0 |

## Variables

### ` + "`disk`" + `

The disk, with its type.

Must be given. Sensitive. Type:

` + "```hcl" + `
object({
  type = optional(string, "fast")
  size = optional(number, 200)
})
` + "```" + `

### ` + "`size`" + `

How large: 1 | 2.

` + "Default: `1`. Type: `number`." + `

Refused otherwise:

- size must be 1 or 2.

## Outputs

| output | what it is |
|---|---|
| ` + "`address`" + ` | Where it is. Sensitive. |

## What it makes and reads

` + "- `cloud_machine`: `node`, `witness`" + `
` + "- `data.cloud_zones`: `all`" + `
`

func TestPage(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.tf"), []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	m, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Page(); got != page {
		t.Errorf("page is:\n%s\nwant:\n%s", got, page)
	}
}

func TestLoadRefuses(t *testing.T) {
	dir := t.TempDir()
	if _, err := Load(dir); err == nil {
		t.Error("a directory without .tf files is a module")
	}
	if err := os.WriteFile(filepath.Join(dir, "main.tf"), []byte("variable {"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir); err == nil {
		t.Error("what does not parse is a module")
	}
}

func TestFill(t *testing.T) {
	readme := "# Words\n\n" + begin + "old\n" + end + "\nMore.\n"
	filled, err := Fill([]byte(readme), "new")
	if err != nil {
		t.Fatal(err)
	}
	if want := "# Words\n\n" + begin + "\nnew\n" + end + "\nMore.\n"; string(filled) != want {
		t.Errorf("filled is %q, want %q", filled, want)
	}
	again, err := Fill(filled, "new")
	if err != nil || string(again) != string(filled) {
		t.Errorf("filling twice gives %q, %v", again, err)
	}
	for _, bad := range []string{"# Words\n", "# Words\n" + begin} {
		if _, err := Fill([]byte(bad), "new"); err == nil || !strings.Contains(err.Error(), "mark") {
			t.Errorf("%q: error is %v", bad, err)
		}
	}
}
