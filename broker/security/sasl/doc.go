// Package sasl conducts the exchanges by which clients prove who they are: PLAIN,
// SCRAM-SHA-256, SCRAM-SHA-512 and OAUTHBEARER, and delegation tokens by SCRAM.
//
//	client's bytes ──► Exchange.Step ──► our bytes, and in the end a Result or an error
//
// # What an exchange is
//
// Pure but for the nonce that SCRAM draws: no clock, no goroutine, no socket. It has at
// most three steps, bounded by MaxBytes each, and is of no use after an error. How the
// bytes travel, how long a failure is kept back, and what a connection may do before, is
// the business of broker/api.
//
// # What a failure tells
//
// An error that is a *Refusal has words for the client, the same as Kafka's and the same
// whether there is such a user or not. Every other error is for the log alone; none has a
// password, token or key in it. An unknown user of SCRAM goes through the whole exchange,
// with salt and iterations that are made up, always the same for a name; an unknown user
// of PLAIN costs as much as a known one.
//
// # Tokens
//
// A JWT is verified by keys that KeySet keeps: fetched from a file or by HTTP in the
// background, bounded in size, number and frequency. Verification never waits for a
// network: a token of a key that is not known fails, and has the keys fetched.
//
// # Concurrency
//
// A Server is immutable and may be shared; an Exchange belongs to one connection. A KeySet
// and a UsersFile may be read while they are renewed.
package sasl
