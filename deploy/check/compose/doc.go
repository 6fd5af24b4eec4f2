// Package compose holds deploy/compose against the specification of Compose, by the library
// that docker compose itself reads its files with (compose-go, Apache-2.0); against the table of settings, as the
// broker reads its environment; and against what else the containers are told: mounted files
// are there, and each service that another one is told to call is there and listens where it
// is called.
//
// No container runs here.
package compose
