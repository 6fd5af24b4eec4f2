// Package acl says what a principal may do, as Apache Kafka's authorizer does, and with
// roles on top.
//
// A binding allows or denies one operation on the resources of one pattern to one
// principal from one host. A pattern is a name, a prefix, or "*" for every name. To judge
// (principal, host, operation, resource):
//
//  1. A super user may do everything.
//  2. The bindings are those whose pattern matches the resource, whose principal is that of
//     the client or User:*, and whose host is that of the client or "*".
//  3. One that denies the operation, or all operations, decides: no.
//  4. One that allows it, or all operations, decides: yes. To allow reading, writing,
//     deleting or altering allows describing, and to alter settings allows to describe
//     them. To deny them denies no more than they say.
//  5. Where no binding at all has a pattern that matches, whoever it speaks of,
//     allow.everyone.if.no.acl.found decides. Else the answer is no.
//
// Beyond Kafka a binding may speak of a group, Group:ops: of every principal whose token
// names that group. And a role is a named set of bindings without a principal; a grant
// has them speak of a user or of a group. A role counts under 2 to 5 like bindings of
// its own once it is granted to anybody. Whoever knows neither groups nor roles gets
// Kafka's answers.
//
// An Authorizer is an index of all bindings, made once for each change of them and
// immutable: names in a map, prefixes sorted, each with a link to the prefix that is a
// prefix of it. To judge costs a look into the map, a search among the prefixes and a
// short walk along the links, and in each of these a search for the few names by which
// bindings may speak of the client. One walk answers about all operations.
//
// Everything here is pure and may be called concurrently.
package acl
