// Package librarytest tries core with the WebSocket libraries that applications
// use, in a module of its own: who imports core does not have to know of them.
package librarytest
