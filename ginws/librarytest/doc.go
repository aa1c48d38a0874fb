// Package librarytest tests ginws with more than one WebSocket library. It is a module
// of its own, so that importing ginws does not require any of them.
package librarytest
