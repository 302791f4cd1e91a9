// Package crew shares one goroutine's work among others, for loading: somebody
// reads a file and cuts it up, and the crew works the pieces off.
//
// # What it promises
//
//   - The jobs of one worker are done one after the other, in the order in which
//     they were given.
//   - Wait returns when all that was given has been done.
//   - Of several failures the one counts which stands first in the input, whoever
//     met it first.
//
// Aside and Turns are for whoever works long beside the event loops.
//
// It imports nothing of this module.
package crew
