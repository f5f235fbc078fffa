/** What the user asked for cannot be done: the text goes to standard error after the command's name. */
export class Failure extends Error {
  constructor(
    message: string,
    readonly status = 1,
  ) {
    super(message);
    this.name = "Failure";
  }
}
