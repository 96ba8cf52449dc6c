namespace RawDiffusion.PtxEmulator.Parsing;

/// <summary>
/// A recursive-descent parser of PTX as NVRTC 11.8 to 13 writes it and as people write it in <c>asm</c>. It checks the form alone:
/// names, types and instructions are looked at when a kernel is decoded. Source: NVIDIA, PTX ISA.
/// </summary>
internal sealed partial class PtxParser
{
    /// <summary>The deepest nesting of blocks, initialisers and parentheses.</summary>
    private const int DeepestNesting = 64;

    private const int LongestText = 1 << 28, MostRegisters = 1 << 20, LongestName = 4096, MostOperands = 512;

    private readonly PtxLexer _lexer;
    private readonly HashSet<string>.AlternateLookup<ReadOnlySpan<char>> _names = new HashSet<string>().GetAlternateLookup<ReadOnlySpan<char>>();
    private PtxToken _token;
    private int _depth;

    /// <summary>Parentheses are arguments in a call, else part of an expression.</summary>
    private bool _isCall;

    private PtxParser(string text)
    {
        _lexer = new PtxLexer(text);
        _token = _lexer.Next();
    }

    /// <exception cref="PtxException">The text is malformed; the message has line and text.</exception>
    public static PtxModule Parse(string text)
    {
        text = text.TrimEnd('\0');
        return text.Length > LongestText
            ? throw new PtxException(1, $"the text has {text.Length} characters; the most are {LongestText}", "")
            : new PtxParser(text).Module();
    }

    private PtxModule Module()
    {
        ExpectDirective("version");
        if (_token.Kind != PtxTokenKind.Decimal || !Version.TryParse(Span, out var version))
            throw Error(".version wants a number such as 8.4");
        Take();
        ExpectDirective("target");
        string target = Name("an architecture such as sm_80");
        while (TryTake(','))
            Name("a target option");
        var module = new PtxModule { Version = version, Target = target };
        if (TryDirective("address_size"))
        {
            int line = _token.Line;
            if (Integer() != 64)
                throw new PtxException(line, "only 64-bit addresses are supported", "");
        }
        while (_token.Kind != PtxTokenKind.End)
            TopLevel(module);
        return module;
    }

    private void TopLevel(PtxModule module)
    {
        if (TryTake(';'))
            return;
        // @@DWARF lines of old compilers.
        if (Is('@'))
        {
            _lexer.SkipLine();
            Take();
            return;
        }
        var linkage = Linkage();
        if (_token.Kind != PtxTokenKind.Dotted)
            throw Error("a directive is wanted here");
        switch (Span)
        {
            case "entry":
                Take();
                module.Functions.Add(Function(linkage, true));
                break;
            case "func":
                Take();
                module.Functions.Add(Function(linkage, false));
                break;
            case "global" or "const" or "shared":
                Variables(linkage, module.Variables.Add);
                break;
            case "file" when linkage == PtxLinkage.Local:
                File(module);
                break;
            case "section" when linkage == PtxLinkage.Local:
                Section();
                break;
            case "pragma" when linkage == PtxLinkage.Local:
                Pragma();
                break;
            default:
                throw Error($".{Shown(Span)} is not supported outside functions");
        }
    }

    private PtxLinkage Linkage()
    {
        var linkage = _token.Kind != PtxTokenKind.Dotted ? PtxLinkage.Local : Span switch
        {
            "visible" => PtxLinkage.Visible,
            "extern" => PtxLinkage.Extern,
            "weak" => PtxLinkage.Weak,
            "common" => PtxLinkage.Common,
            _ => PtxLinkage.Local,
        };
        if (linkage != PtxLinkage.Local)
            Take();
        return linkage;
    }

    /// <summary>.file 1 "name"[, time stamp, size]</summary>
    private void File(PtxModule module)
    {
        Take();
        int number = Int32("the number of a file");
        if (_token.Kind != PtxTokenKind.String)
            throw Error(".file wants a name in quotes");
        module.Files[number] = Span.ToString();
        Take();
        while (TryTake(','))
            Integer();
    }

    private void Pragma()
    {
        Take();
        do
        {
            if (_token.Kind != PtxTokenKind.String)
                throw Error(".pragma wants a text in quotes");
            Take();
        }
        while (TryTake(','));
        Expect(';');
    }

    /// <summary>Debugging data: passed over.</summary>
    private void Section()
    {
        Take();
        if (_token.Kind is not (PtxTokenKind.Dotted or PtxTokenKind.Name))
            throw Error(".section wants a name");
        Take();
        Expect('{');
        while (!TryTake('}'))
        {
            if (_token.Kind == PtxTokenKind.End)
                throw Error("this section does not end");
            if (Is('{'))
                throw Error("braces inside a section");
            Take();
        }
    }

    private ReadOnlySpan<char> Span => _lexer.Text.AsSpan(_token.Start, _token.Length);

    private void Take() => _token = _lexer.Next();

    private bool Is(char punctuation) =>
        _token.Kind == PtxTokenKind.Punctuation && _token.Length == 1 && _lexer.Text[_token.Start] == punctuation;

    private bool TryTake(char punctuation)
    {
        if (!Is(punctuation))
            return false;
        Take();
        return true;
    }

    private void Expect(char punctuation)
    {
        if (!TryTake(punctuation))
            throw Error($"'{punctuation}' is wanted in place of {Found()}");
    }

    private bool IsDirective(string name) => _token.Kind == PtxTokenKind.Dotted && Span.SequenceEqual(name);

    private bool TryDirective(string name)
    {
        if (!IsDirective(name))
            return false;
        Take();
        return true;
    }

    private void ExpectDirective(string name)
    {
        if (!TryDirective(name))
            throw Error($".{name} is wanted in place of {Found()}");
    }

    /// <summary>Takes a name; equal names are one string.</summary>
    private string Name(string what)
    {
        if (_token.Kind != PtxTokenKind.Name)
            throw Error($"{what} is wanted in place of {Found()}");
        string name = Interned();
        Take();
        return name;
    }

    private string Interned()
    {
        var span = Span;
        if (span.Length > LongestName)
            throw Error($"a name has {span.Length} characters; the most are {LongestName}");
        if (!_names.TryGetValue(span, out string? name))
        {
            _names.Add(span);
            _names.TryGetValue(span, out name);
        }
        return name!;
    }

    private int Int32(string what)
    {
        long value = Integer();
        return value is >= 0 and <= int.MaxValue ? (int)value : throw Error($"{what} is out of range: {value}");
    }

    private string Found() => _token.Kind == PtxTokenKind.End ? "the end of the text" : $"'{Shown(Span)}'";

    private static string Shown(ReadOnlySpan<char> text) => text.Length <= 40 ? text.ToString() : string.Concat(text[..40], "...");

    private PtxException Error(string problem) => new(_token.Line, problem, _lexer.LineAround(_token.Start));

    /// <summary>Counts nesting, so that no text exhausts the stack.</summary>
    private void Enter()
    {
        if (++_depth > DeepestNesting)
            throw Error($"more than {DeepestNesting} levels of nesting");
    }

    private void Leave() => _depth--;
}
