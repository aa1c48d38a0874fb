// Package librarytest tries ginws with more than one WebSocket library, in a
// module of its own: who imports ginws does not have to know of them.
package librarytest
