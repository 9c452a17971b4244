package main

import (
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/tools/go/ast/astutil"
)

// Kinds of faults.
const (
	opNegate   = "negate"   // a condition, comparison, true or false the other way
	opBoundary = "boundary" // < for <=
	opLogic    = "logic"    // && for ||
	opArith    = "arith"    // + for -, & for |, << for >>
	opDrop     = "drop"     // a call, assignment or send is left out
	opReturn   = "return"   // zero values, or no error, are returned
	opLoop     = "loop"     // break or continue is left out
	opConst    = "const"    // a number off by one, another case
	opSwap     = "swap"     // two arguments of one type exchanged
)

// site is one fault: texts to put before and behind ranges of a file, which
// leave the code as it is until the fault's number is chosen.
type site struct {
	Op   string
	Line int
	Func string // "" outside of functions
	Text string // what is replaced, shortened
	wrap []wrapping
	key  string // names the fault independently of line numbers
}

// wrapping puts texts around source bytes [start, end). %d in them stands for
// the number of the fault.
type wrapping struct {
	start, end    int
	before, after string
}

// finder looks for places of faults in one file.
type finder struct {
	fset  *token.FileSet
	info  *types.Info
	pkg   *types.Package
	src   []byte
	sites []site

	fn      *ast.FuncDecl
	results []*ast.FieldList // of the functions around, innermost last
	seen    map[string]int
}

// findSites lists the faults of a file in the order of the source.
func findSites(fset *token.FileSet, info *types.Info, pkg *types.Package, file *ast.File, src []byte) []site {
	f := &finder{fset: fset, info: info, pkg: pkg, src: src, seen: map[string]int{}}
	astutil.Apply(file, f.enter, f.leave)
	return f.sites
}

func (f *finder) enter(c *astutil.Cursor) bool {
	switch n := c.Node().(type) {
	case *ast.GenDecl:
		return n.Tok == token.VAR // constants and types must stay constant
	case *ast.FuncDecl:
		f.fn = n
		f.results = append(f.results, n.Type.Results)
	case *ast.FuncLit:
		f.results = append(f.results, n.Type.Results)
	case *ast.ArrayType:
		return false // a length
	case *ast.CallExpr:
		f.swaps(n)
		return !f.messageOnly(n)
	case ast.Expr:
		f.expr(c, n)
	case ast.Stmt:
		if inList(c) {
			f.stmt(n)
		}
	}
	return true
}

func (f *finder) leave(c *astutil.Cursor) bool {
	switch c.Node().(type) {
	case *ast.FuncDecl:
		f.fn = nil
		f.results = f.results[:len(f.results)-1]
	case *ast.FuncLit:
		f.results = f.results[:len(f.results)-1]
	}
	return true
}

// inList reports whether a statement is one of a list, where an if may stand in
// its place.
func inList(c *astutil.Cursor) bool {
	switch c.Parent().(type) {
	case *ast.BlockStmt:
		return true
	case *ast.CaseClause, *ast.CommClause:
		return c.Name() == "Body"
	}
	return false
}

// messageOnly reports whether a call only words a message.
func (f *finder) messageOnly(call *ast.CallExpr) bool {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	x, ok := sel.X.(*ast.Ident)
	if !ok {
		return false
	}
	p, ok := f.info.Uses[x].(*types.PkgName)
	return ok && (p.Imported().Path() == "fmt" || p.Imported().Path() == "errors" && sel.Sel.Name == "New")
}

func (f *finder) text(n ast.Node) string {
	return string(f.src[f.offset(n.Pos()):f.offset(n.End())])
}

func (f *finder) offset(p token.Pos) int { return f.fset.Position(p).Offset }

// add appends a fault at a node, with one wrapping unless others are given.
func (f *finder) add(op string, at ast.Node, before, after string, more ...wrapping) {
	s := site{Op: op, Line: f.fset.Position(at.Pos()).Line, Text: short(f.text(at))}
	if f.fn != nil {
		s.Func = funcName(f.fn)
	}
	s.wrap = more
	if len(more) == 0 {
		s.wrap = []wrapping{{f.offset(at.Pos()), f.offset(at.End()), before, after}}
	}
	s.key = strings.Join([]string{s.Func, op, f.text(at), before, after}, "\x00")
	f.seen[s.key]++
	s.key += "\x00" + strconv.Itoa(f.seen[s.key])
	f.sites = append(f.sites, s)
}

func funcName(d *ast.FuncDecl) string {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return d.Name.Name
	}
	name := ""
	ast.Inspect(d.Recv.List[0].Type, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && name == "" {
			name = id.Name
		}
		return name == ""
	})
	return name + "." + d.Name.Name
}

// short is a text on one line, cut at 70 characters.
func short(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 70 {
		return string(r[:69]) + "…"
	}
	return s
}

// expr adds the faults of an expression.
func (f *finder) expr(c *astutil.Cursor, n ast.Expr) {
	tv := f.info.Types[n]
	if isCondition(c) && tv.Value == nil && !isComparison(n) {
		f.negate(n)
	}
	switch n := n.(type) {
	case *ast.Ident:
		if o := f.info.Uses[n]; o != nil && o.Parent() == types.Universe && (n.Name == "true" || n.Name == "false") && !returned(c) {
			f.negate(n)
		}
	case *ast.BinaryExpr:
		if tv.Value == nil {
			f.binary(n)
		}
	}
	if tv.Value == nil {
		return
	}
	if p, ok := c.Parent().(ast.Expr); ok && f.info.Types[p].Value != nil {
		return // part of a constant expression
	}
	if inCase(c) {
		f.caseValue(n)
	} else if _, named := n.(*ast.Ident); !named && !capacity(c) {
		f.number(n)
	}
}

// isCondition reports whether an expression decides alone where control goes.
func isCondition(c *astutil.Cursor) bool {
	switch p := c.Parent().(type) {
	case *ast.IfStmt, *ast.ForStmt:
		return c.Name() == "Cond"
	case *ast.BinaryExpr:
		return p.Op == token.LAND || p.Op == token.LOR
	case *ast.CaseClause:
		return c.Name() == "List"
	}
	return false
}

func isComparison(n ast.Expr) bool {
	b, ok := n.(*ast.BinaryExpr)
	return ok && (b.Op.Precedence() == token.EQL.Precedence() || b.Op == token.LAND || b.Op == token.LOR)
}

// returned: the faults of returned truth values are those of the statement.
func returned(c *astutil.Cursor) bool {
	_, ok := c.Parent().(*ast.ReturnStmt)
	return ok
}

func inCase(c *astutil.Cursor) bool {
	_, ok := c.Parent().(*ast.CaseClause)
	return ok && c.Name() == "List"
}

// capacity reports whether an expression is a hint of make.
func capacity(c *astutil.Cursor) bool {
	call, ok := c.Parent().(*ast.CallExpr)
	if !ok {
		return false
	}
	id, ok := call.Fun.(*ast.Ident)
	if !ok || id.Name != "make" {
		return false
	}
	_, slice := call.Args[0].(*ast.ArrayType)
	return !slice || c.Index() == 2
}

func (f *finder) isBool(n ast.Expr) bool {
	t := f.info.TypeOf(n)
	if t == nil {
		return false
	}
	b, ok := t.Underlying().(*types.Basic)
	return ok && b.Info()&types.IsBoolean != 0
}

func (f *finder) negate(n ast.Expr) {
	if f.isBool(n) {
		f.add(opNegate, n, "(zzOn(%d) != (", "))")
	}
}

var boundary = map[token.Token]string{token.LSS: "<=", token.LEQ: "<", token.GTR: ">=", token.GEQ: ">"}

var arith = map[token.Token]string{token.ADD: "-", token.SUB: "+", token.AND: "|", token.OR: "&", token.SHL: ">>", token.SHR: "<<", token.XOR: "&",
	token.AND_NOT: "&", token.ADD_ASSIGN: "-=", token.SUB_ASSIGN: "+=", token.AND_ASSIGN: "|=", token.OR_ASSIGN: "&=", token.SHL_ASSIGN: ">>=",
	token.SHR_ASSIGN: "<<=", token.AND_NOT_ASSIGN: "|=", token.XOR_ASSIGN: "|="}

func (f *finder) binary(n *ast.BinaryExpr) {
	with := func(op string) string { return "(" + f.text(n.X) + ") " + op + " (" + f.text(n.Y) + ")" }
	choose := func(kind, op string) {
		f.add(kind, n, "(zzOn(%d) && ("+escape(with(op))+") || !zzOn(%[1]d) && (", "))")
	}
	switch n.Op {
	case token.LAND:
		choose(opLogic, "||")
	case token.LOR:
		choose(opLogic, "&&")
	case token.EQL, token.NEQ:
		f.negate(n)
	case token.LSS, token.LEQ, token.GTR, token.GEQ:
		f.negate(n)
		choose(opBoundary, boundary[n.Op])
	default:
		if op, ok := arith[n.Op]; ok && f.isInt(n) && pure(n) {
			f.add(opArith, n, "zzEither(%d, ", ", "+escape(with(op))+")")
		}
	}
}

func (f *finder) isInt(n ast.Expr) bool {
	t := f.info.TypeOf(n)
	if t == nil {
		return false
	}
	b, ok := t.Underlying().(*types.Basic)
	return ok && b.Info()&types.IsInteger != 0
}

// pure reports whether an expression may be computed twice.
func pure(n ast.Node) bool {
	ok := true
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			id, is := n.Fun.(*ast.Ident)
			ok = ok && is && (id.Name == "len" || types.Universe.Lookup(id.Name) != nil && id.Name != "append" && id.Name != "copy")
		case *ast.UnaryExpr:
			ok = ok && n.Op != token.ARROW
		case *ast.FuncLit, *ast.CompositeLit:
			ok = false
		}
		return ok
	})
	return ok
}

// number makes a constant one greater.
func (f *finder) number(n ast.Expr) {
	if _, named := n.(*ast.SelectorExpr); named {
		return
	}
	if name, ok := f.typeName(n); ok && f.isInt(n) {
		f.add(opConst, n, "zzNext["+name+"](%d, ", ")")
	}
}

// caseValue makes a case stand for something else.
func (f *finder) caseValue(n ast.Expr) {
	tv := f.info.Types[n]
	if tv.Value == nil {
		return
	}
	name, ok := f.typeName(n)
	switch {
	case !ok:
	case tv.Value.Kind() == constant.Int && f.isInt(n):
		f.add(opConst, n, "zzNext["+name+"](%d, ", ")")
	case tv.Value.Kind() == constant.String:
		f.add(opConst, n, "zzOther["+name+"](%d, ", ")")
	}
}

// typeName writes the type of a constant as the file can.
func (f *finder) typeName(n ast.Expr) (string, bool) {
	t := f.info.TypeOf(n)
	if t == nil {
		return "", false
	}
	t = types.Default(t)
	name := types.TypeString(t, func(p *types.Package) string {
		if p == f.pkg {
			return ""
		}
		return p.Name()
	})
	return name, !strings.ContainsAny(name, " {[")
}

// swaps adds the faults of exchanged arguments, but for those of a format.
func (f *finder) swaps(call *ast.CallExpr) {
	if f.messageOnly(call) || call.Ellipsis.IsValid() {
		return
	}
	if tv := f.info.Types[call.Fun]; tv.IsType() || tv.IsBuiltin() {
		return
	}
	if sel, ok := call.Fun.(*ast.SelectorExpr); ok && (sel.Sel.Name == "Equal" || sel.Sel.Name == "EqualFold") {
		return // as good either way round
	}
	for i := 0; i+1 < len(call.Args); i++ {
		a, b := call.Args[i], call.Args[i+1]
		if v := f.info.Types[a].Value; v != nil && v.Kind() == constant.String && strings.Contains(constant.StringVal(v), "%") {
			return // what follows only words a message
		}
		ta, tb := f.info.TypeOf(a), f.info.TypeOf(b)
		if ta == nil || tb == nil || !types.Identical(types.Default(ta), types.Default(tb)) || !pure(a) || !pure(b) || f.text(a) == f.text(b) ||
			f.info.Types[a].IsNil() || f.info.Types[a].Value != nil && f.info.Types[b].Value != nil {
			continue
		}
		range1 := wrapping{f.offset(a.Pos()), f.offset(a.End()), "zzEither(%d, ", ", " + escape(f.text(b)) + ")"}
		range2 := wrapping{f.offset(b.Pos()), f.offset(b.End()), "zzEither(%d, ", ", " + escape(f.text(a)) + ")"}
		f.add(opSwap, call, strconv.Itoa(i), "", range1, range2)
	}
}

// stmt adds the faults of a statement.
func (f *finder) stmt(n ast.Stmt) {
	drop := func() { f.add(opDrop, n, "if !zzOn(%d) { ", " }") }
	switch n := n.(type) {
	case *ast.ExprStmt:
		if call, ok := n.X.(*ast.CallExpr); ok && !isPanic(call) {
			drop()
		}
	case *ast.AssignStmt:
		if n.Tok == token.DEFINE || allBlank(n.Lhs) {
			return
		}
		drop()
		if op, ok := arith[n.Tok]; ok && f.isInt(n.Lhs[0]) {
			f.add(opArith, n, "if zzOn(%d) { "+escape(f.text(n.Lhs[0])+" "+op+" "+f.text(n.Rhs[0]))+" } else { ", " }")
		}
	case *ast.IncDecStmt, *ast.SendStmt, *ast.DeferStmt, *ast.GoStmt:
		drop()
	case *ast.BranchStmt:
		if n.Tok == token.BREAK || n.Tok == token.CONTINUE {
			f.add(opLoop, n, "if !zzOn(%d) { ", " }")
		}
	case *ast.ReturnStmt:
		f.returns(n)
	}
}

func isPanic(call *ast.CallExpr) bool {
	id, ok := call.Fun.(*ast.Ident)
	return ok && id.Name == "panic"
}

func allBlank(list []ast.Expr) bool {
	return !slices.ContainsFunc(list, func(e ast.Expr) bool {
		id, ok := e.(*ast.Ident)
		return !ok || id.Name != "_"
	})
}

// returns adds: zero values instead, no error instead of one, the other truth
// value.
func (f *finder) returns(n *ast.ReturnStmt) {
	results := f.results[len(f.results)-1]
	if results == nil || len(n.Results) == 0 {
		return
	}
	var typs []ast.Expr
	for _, field := range results.List {
		for range max(1, len(field.Names)) {
			typs = append(typs, field.Type)
		}
	}
	if len(typs) != len(n.Results) {
		return // f() of several values
	}
	instead := func(values []string) {
		f.add(opReturn, n, "if zzOn(%d) { return "+escape(strings.Join(values, ", "))+" }; ", "")
	}
	zero, same, changed := make([]string, len(typs)), make([]string, len(typs)), false
	for i, t := range typs {
		same[i] = f.text(n.Results[i])
		zero[i] = "zzZero[" + f.text(t) + "]()"
		tv := f.info.Types[n.Results[i]]
		switch {
		case tv.Value != nil && tv.Value.Kind() == constant.Bool && len(typs) == 1:
			zero[i], changed = "!"+same[i], true
		case tv.IsNil(), tv.Value != nil && isZero(tv.Value), emptyLit(n.Results[i]):
			zero[i] = same[i]
		default:
			changed = true
		}
	}
	last := len(typs) - 1
	if changed {
		instead(zero)
	}
	if last > 0 {
		if tv := f.info.Types[n.Results[last]]; isError(f.info.TypeOf(typs[last])) && !tv.IsNil() {
			instead(append(slices.Clone(same[:last]), "nil"))
		} else if f.isBool(n.Results[last]) {
			instead(append(slices.Clone(same[:last]), "!("+same[last]+")"))
		}
	}
}

func isZero(v constant.Value) bool {
	switch v.Kind() {
	case constant.Bool:
		return !constant.BoolVal(v)
	case constant.String:
		return constant.StringVal(v) == ""
	case constant.Int, constant.Float:
		return constant.Sign(v) == 0
	}
	return false
}

func emptyLit(n ast.Expr) bool {
	l, ok := n.(*ast.CompositeLit)
	return ok && len(l.Elts) == 0
}

func isError(t types.Type) bool {
	return t != nil && types.Identical(t, types.Universe.Lookup("error").Type())
}

// escape keeps percent signs of the source through the format.
func escape(s string) string { return strings.ReplaceAll(s, "%", "%%") }
