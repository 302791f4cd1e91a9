// Package durability kills nodes with -9 under writers and looks what is left in
// their files.
package durability
