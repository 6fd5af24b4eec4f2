// Package devtools finds the programs that tests, benchmarks and demos run beside Tideline. They are pinned in
// scripts/tools.sh and built by it into .tools/bin on first use; the product never needs them.
package devtools
