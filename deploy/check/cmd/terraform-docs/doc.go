// Command terraform-docs writes the tables of variables, outputs and resources into the README of each module that is named:
//
//	terraform-docs DIR...
package main
