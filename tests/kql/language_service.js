// Ask Microsoft's Kusto language service about queries: parse, resolve names and types, tell the result's columns.
//
// In: {service, tables: {scope: {name: columns}}, bags: {column: [keys]}, queries: [{name, scope, text}]} as JSON.
// Out: [{name, scope, columns: [{name, type}], faults: [text]}].
//
// The service does not look into dynamic columns. `bags` says which keys each of ours has: any other is a fault.
const fs = require("fs"), path = require("path"), vm = require("vm");

const question = JSON.parse(fs.readFileSync(0, "utf8"));

// The package is a pair of scripts for a browser: they set the globals Bridge and Kusto.
for (const file of ["bridge.min.js", "Kusto.Language.Bridge.min.js"]) {
  const full = path.join(question.service, file);
  vm.runInThisContext(fs.readFileSync(full, "utf8"), { filename: full });
}
const Language = Kusto.Language, Symbols = Language.Symbols, Syntax = Language.Syntax;

function globals(tables) {
  const symbols = Object.entries(tables).map(([name, columns]) =>
    Symbols.TableSymbol.From("(" + columns + ")").WithName(name));
  return Language.GlobalState.Default.WithDatabase(new Symbols.DatabaseSymbol.ctor("chargeback", symbols, false));
}

function where(text, position) {
  const before = text.slice(0, position).split("\n");
  return "line " + before.length + ", column " + (before[before.length - 1].length + 1);
}

function keyFaults(root, text) {
  const faults = [];
  Syntax.SyntaxElement.WalkNodes(root, (node) => {
    const isPath = node.Kind === Syntax.SyntaxKind.PathExpression;
    if (!isPath && node.Kind !== Syntax.SyntaxKind.ElementExpression) return;
    const keys = question.bags[node.Expression.toString(0).trim()];
    if (!keys) return;
    const selector = node.Selector.toString(0).trim();
    const literal = /^\["([^"]+)"\]$/.exec(selector);
    const key = isPath ? selector : literal && literal[1];
    if (!keys.includes(key)) {
      faults.push(where(text, node.TextStart) + ": " + node.toString(0).trim() + ": no such property is ever sent");
    }
  });
  return faults;
}

function ask(text, state) {
  const code = Language.KustoCode.ParseAndAnalyze(text, state);
  const told = Bridge.toArray(code.GetDiagnostics()).map((each) =>
    where(text, each.Start) + ": " + each.Code + " " + each.Message + " `" + text.substr(each.Start, each.Length) + "`");
  const columns = code.ResultType && code.ResultType.Columns ? Bridge.toArray(code.ResultType.Columns) : [];
  return {
    columns: columns.map((column) => ({ name: column.Name, type: column.Type.Name })),
    faults: told.concat(keyFaults(code.Syntax, text)),
  };
}

const states = Object.fromEntries(Object.entries(question.tables).map(([scope, tables]) => [scope, globals(tables)]));

// A database that was not understood is empty without a word, and then everything is called unknown.
for (const [scope, tables] of Object.entries(question.tables)) {
  for (const name of Object.keys(tables)) {
    const answer = ask(name + " | take 1", states[scope]);
    if (answer.faults.length || !answer.columns.length) throw new Error("self-test: table " + name + " is not known");
  }
}

const answers = question.queries.map(({ name, scope, text }) => ({ name, scope, ...ask(text, states[scope]) }));
process.stdout.write(JSON.stringify(answers));
