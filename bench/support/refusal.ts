/** Ends the program with a message for people, without a stack. */
export class Refusal extends Error {}
