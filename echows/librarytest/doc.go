// Package librarytest tests echows with more than one WebSocket library and with
// common Echo middleware. It is a module of its own, so that importing echows does not
// require any of them.
package librarytest
