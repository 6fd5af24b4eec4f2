# All rules that are built into tflint, not only those it recommends.
plugin "terraform" {
  enabled = true
  preset  = "all"
}
