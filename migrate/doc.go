// Package migrate moves keys between nodes. Sender carries one batch of dumped
// keys to a target in the words of the reference (AUTH, SELECT, RESTORE or
// RESTORE-ASKING), over connections that it keeps for a while, and says for
// each key whether the target has it.
//
// It knows neither locks nor the keyspace. The caller (MIGRATE in package
// node) keeps the keys in transit while they are on their way and deletes
// those that arrived; nothing is deleted on a doubt.
package migrate
