// Package librarytest tries echows with more than one WebSocket library, and
// with whatever else an application on Echo v5 has, in a module of its own: who
// imports echows does not have to know of them.
package librarytest
