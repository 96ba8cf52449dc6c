namespace RawDiffusion.PtxEmulator.Parsing;

/// <summary>Functions and what stands in their bodies.</summary>
internal sealed partial class PtxParser
{
    /// <summary>.entry name (parameters) directives { body }, and .func (results) name (parameters) likewise.</summary>
    private PtxFunction Function(PtxLinkage linkage, bool isKernel)
    {
        int line = _token.Line;
        IReadOnlyList<PtxVariable> returns = !isKernel && Is('(') ? Parameters() : [];
        string name = Name("the name of a function");
        IReadOnlyList<PtxVariable> parameters = Is('(') ? Parameters() : [];
        var directives = new List<PtxDirective>();
        while (_token.Kind == PtxTokenKind.Dotted)
        {
            if (IsDirective("pragma"))
                Pragma();
            else
                directives.Add(Directive());
        }
        var body = Is('{') ? Block() : null;
        if (body is null)
            Expect(';');
        return new PtxFunction
        {
            Name = name,
            Line = line,
            IsKernel = isKernel,
            Linkage = linkage,
            Returns = returns,
            Parameters = parameters,
            Directives = directives,
            Body = body,
        };
    }

    private List<PtxVariable> Parameters()
    {
        Expect('(');
        var parameters = new List<PtxVariable>();
        if (TryTake(')'))
            return parameters;
        do
        {
            if (IsDirective("reg"))
                throw Error("parameters in registers are not supported");
            if (!IsDirective("param"))
                throw Error($".param is wanted in place of {Found()}");
            parameters.Add(Variable(Declaration(PtxLinkage.Local), false));
        }
        while (TryTake(','));
        Expect(')');
        return parameters;
    }

    private PtxDirective Directive()
    {
        int line = _token.Line;
        string name = Span.ToString();
        int most = name switch
        {
            "maxntid" or "reqntid" or "reqnctapercluster" => 3,
            "minnctapersm" or "maxnctapersm" or "maxnreg" or "maxclusterrank" => 1,
            "noreturn" or "explicitcluster" => 0,
            _ => throw Error($".{Shown(name)} is not supported in front of a body"),
        };
        Take();
        var numbers = new List<long>();
        if (most > 0)
        {
            do
            {
                numbers.Add(Integer());
                if (numbers.Count > most)
                    throw Error($".{name} has at most {most} numbers");
            }
            while (TryTake(','));
        }
        return new PtxDirective(name, numbers, line);
    }

    private PtxBlock Block()
    {
        Enter();
        int line = _token.Line;
        Expect('{');
        var statements = new List<PtxStatement>();
        while (!TryTake('}'))
            Statement(statements);
        Leave();
        return new PtxBlock(line, statements);
    }

    private void Statement(List<PtxStatement> statements)
    {
        switch (_token.Kind)
        {
            case PtxTokenKind.Name:
                int line = _token.Line, start = _token.Start;
                string name = Name("an instruction");
                if (TryTake(':'))
                    statements.Add(Labelled(line, name));
                else
                    statements.Add(Instruction(line, start, null, false, name));
                break;
            case PtxTokenKind.Dotted:
                BodyDirective(statements);
                break;
            case PtxTokenKind.Punctuation when Is('@'):
                statements.Add(Guarded());
                break;
            case PtxTokenKind.Punctuation when Is('{'):
                statements.Add(Block());
                break;
            case PtxTokenKind.Punctuation when Is(';'):
                Take();
                break;
            default:
                throw Error($"an instruction is wanted in place of {Found()}");
        }
    }

    private PtxInstruction Guarded()
    {
        int line = _token.Line, start = _token.Start;
        Take();
        bool negated = TryTake('!');
        string guard = Name("a predicate");
        return Instruction(line, start, guard, negated, Name("an instruction"));
    }

    /// <summary>A label, or the list that one names: .branchtargets, .calltargets, .callprototype.</summary>
    private PtxStatement Labelled(int line, string name)
    {
        if (IsDirective("branchtargets") || IsDirective("calltargets"))
        {
            bool calls = IsDirective("calltargets");
            Take();
            var targets = new List<string>();
            do
                targets.Add(Name("a target"));
            while (TryTake(','));
            Expect(';');
            return new PtxTargets(line, name, targets, calls);
        }
        if (!TryDirective("callprototype"))
            return new PtxLabel(line, name);
        IReadOnlyList<PtxVariable> returns = Is('(') ? Parameters() : [];
        Name("_");
        IReadOnlyList<PtxVariable> parameters = Is('(') ? Parameters() : [];
        TryDirective("noreturn");
        Expect(';');
        return new PtxPrototype(line, name, returns, parameters);
    }

    private void BodyDirective(List<PtxStatement> statements)
    {
        switch (Span)
        {
            case "reg":
                Registers(statements);
                break;
            case "loc":
                statements.Add(Location());
                break;
            case "pragma":
                Pragma();
                break;
            default:
                if (!IsSpace(Span) && Span is not "shared::cta")
                    throw Error($".{Shown(Span)} is not supported in a body");
                Variables(PtxLinkage.Local, variable => statements.Add(new PtxLocalVariable(variable.Line, variable)));
                break;
        }
    }

    /// <summary>.loc file line column[, function_name label[+offset], inlined_at file line column]</summary>
    private PtxLocation Location()
    {
        int line = _token.Line;
        Take();
        var place = Place();
        PtxPlace? inlinedAt = null;
        while (TryTake(','))
        {
            if (_token.Kind == PtxTokenKind.Name && Span is "function_name")
            {
                Take();
                Name("the label of a name");
                Distance();
            }
            else if (_token.Kind == PtxTokenKind.Name && Span is "inlined_at")
            {
                Take();
                inlinedAt = Place();
            }
            else
            {
                throw Error($"function_name or inlined_at is wanted in place of {Found()}");
            }
        }
        TryTake(';');
        return new PtxLocation(line, place, inlinedAt);
    }

    private PtxPlace Place()
    {
        int file = PlainNumber(), line = PlainNumber(), column = PlainNumber();
        return new PtxPlace(file, line, column);
    }

    /// <summary>One number alone: the next one is no part of an expression.</summary>
    private int PlainNumber()
    {
        long value = Literal();
        return value is >= 0 and <= int.MaxValue ? (int)value : throw Error($"a number is out of range: {value}");
    }

    private PtxInstruction Instruction(int line, int start, string? guard, bool negated, string opcode)
    {
        var modifiers = new List<string>();
        while (_token.Kind == PtxTokenKind.Dotted)
        {
            modifiers.Add(Interned());
            Take();
        }
        _isCall = opcode == "call";
        var operands = new List<PtxOperand>();
        if (!Is(';'))
        {
            do
            {
                operands.Add(Operand());
                if (operands.Count > MostOperands)
                    throw Error($"more than {MostOperands} operands");
            }
            while (TryTake(','));
        }
        int end = _token.Start;
        Expect(';');
        return new PtxInstruction(line, guard, negated, opcode, [.. modifiers], [.. operands], _lexer.Text.AsMemory(start, end - start));
    }

    private PtxOperand Operand()
    {
        var operand = SingleOperand();
        return TryTake('|') ? new PtxPair(operand, SingleOperand()) : operand;
    }

    private PtxOperand SingleOperand()
    {
        if (TryTake('['))
            return Address();
        if (TryTake('{'))
            return new PtxVector(Operands('}'));
        if (_isCall && TryTake('('))
            return new PtxArguments(Operands(')'));
        if (TryTake('!'))
            return new PtxNegated(Name("a predicate"));
        if (StartsImmediate || Is('('))
            return Immediate();
        string name = Name("an operand");
        if (name == "WARP_SZ")
            return new PtxImmediate(PtxImmediateKind.Integer, 32);
        if (_token.Kind == PtxTokenKind.Dotted)
        {
            if (Span is not ("x" or "y" or "z" or "w" or "r" or "g" or "b" or "a"))
                throw Error($".{Shown(Span)} is no component");
            string component = Interned();
            Take();
            return new PtxName(name, component);
        }
        return Is('+') || Is('-') ? new PtxSymbolOffset(name, Distance()) : new PtxName(name);
    }

    /// <summary>Operands up to a closing brace or parenthesis; none is allowed.</summary>
    private PtxOperand[] Operands(char close)
    {
        Enter();
        var operands = new List<PtxOperand>();
        if (!Is(close))
        {
            do
            {
                operands.Add(Operand());
                if (operands.Count > MostOperands)
                    throw Error($"more than {MostOperands} operands");
            }
            while (TryTake(','));
        }
        Expect(close);
        Leave();
        return [.. operands];
    }

    private PtxAddress Address()
    {
        string? name = _token.Kind == PtxTokenKind.Name ? Name("an address") : null;
        long offset = name is null ? Integer() : Distance();
        if (Is(','))
            throw Error("addresses with coordinates (textures, surfaces, tensor maps) are not supported");
        Expect(']');
        return new PtxAddress(name, offset);
    }
}
