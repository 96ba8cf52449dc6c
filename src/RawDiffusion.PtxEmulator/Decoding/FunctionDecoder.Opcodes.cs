namespace RawDiffusion.PtxEmulator.Decoding;

/// <summary>Which method decodes which instruction.</summary>
internal sealed partial class FunctionDecoder
{
    private void DecodeOpcode()
    {
        switch (_p.Opcode)
        {
            case "add": AddOrSub(Opcode.Add, Opcode.AddC, false); break;
            case "sub": AddOrSub(Opcode.Sub, Opcode.SubC, false); break;
            case "addc": AddOrSub(Opcode.Add, Opcode.AddC, true); break;
            case "subc": AddOrSub(Opcode.Sub, Opcode.SubC, true); break;
            case "mul": Mul(); break;
            case "mad": Mad(false); break;
            case "madc": Mad(true); break;
            case "mul24": Mul24(Opcode.Mul24, 3); break;
            case "mad24": Mul24(Opcode.Mad24, 4); break;
            case "sad": Integers(Opcode.Sad, 4); break;
            case "div": Div(); break;
            case "rem": Integers(Opcode.Rem, 3); break;
            case "abs": AbsOrNeg(Opcode.Abs); break;
            case "neg": AbsOrNeg(Opcode.Neg); break;
            case "min": MinOrMax(Opcode.Min); break;
            case "max": MinOrMax(Opcode.Max); break;
            case "popc": CountBits(Opcode.Popc); break;
            case "clz": CountBits(Opcode.Clz); break;
            case "brev": Bits(Opcode.Brev, 2, false); break;
            case "bfind": Bfind(); break;
            case "bfe": Bfe(); break;
            case "bfi": Bfi(); break;
            case "dp4a": DotProduct(Opcode.Dp4a); break;
            case "dp2a": DotProduct(Opcode.Dp2a); break;

            case "fma": Fma(); break;
            case "rcp": Rooted(Opcode.Rcp); break;
            case "sqrt": Rooted(Opcode.Sqrt); break;
            case "rsqrt": Approximate(Opcode.Rsqrt); break;
            case "sin": Approximate(Opcode.Sin); break;
            case "cos": Approximate(Opcode.Cos); break;
            case "lg2": Approximate(Opcode.Lg2); break;
            case "ex2": Approximate(Opcode.Ex2); break;
            case "tanh": Approximate(Opcode.Tanh); break;
            case "copysign": Copysign(); break;
            case "testp": Testp(); break;

            case "setp": Setp(); break;
            case "set": Set(); break;
            case "selp": Selp(); break;
            case "slct": Slct(); break;

            case "and": Bits(Opcode.And, 3, true); break;
            case "or": Bits(Opcode.Or, 3, true); break;
            case "xor": Bits(Opcode.Xor, 3, true); break;
            case "not": Bits(Opcode.Not, 2, true); break;
            case "cnot": Bits(Opcode.Cnot, 2, false); break;
            case "shl": Shift(Opcode.Shl); break;
            case "shr": Shift(Opcode.Shr); break;
            case "shf": Shf(); break;
            case "prmt": Prmt(); break;
            case "lop3": Lop3(); break;

            case "mov": Mov(); break;
            case "cvt": Cvt(); break;
            case "cvta": Cvta(); break;
            case "isspacep": Isspacep(); break;
            case "prefetch" or "prefetchu" or "applypriority": Prefetch(); break;
            case "ld" or "ldu": Ld(); break;
            case "st": St(); break;
            case "atom": Atom(true); break;
            case "red": Atom(false); break;
            case "cp": CpAsync(); break;
            case "membar" or "fence": Membar(); break;

            case "shfl": Shfl(); break;
            case "vote": Vote(); break;
            case "match": Match(); break;
            case "activemask": Activemask(); break;
            case "redux": Redux(); break;
            case "elect": Elect(); break;
            case "bar" or "barrier": Bar(); break;
            case "mbarrier": Mbarrier(); break;

            case "bra": Bra(); break;
            case "brx": Brx(); break;
            case "call": Call(); break;
            case "ret": Ret(); break;
            case "exit": NoOperands(Opcode.Exit); break;
            case "trap": NoOperands(Opcode.Trap); break;
            case "brkpt": NoOperands(Opcode.Brkpt); break;
            case "nanosleep": Nanosleep(); break;

            case "mma": Mma(); break;
            case "ldmatrix": Ldmatrix(); break;
            case "stmatrix": Stmatrix(); break;

            default: throw Refuse($"{_p.Opcode} is not supported");
        }
    }
}
