using RawDiffusion.PtxEmulator.Parsing;

namespace RawDiffusion.PtxEmulator.Decoding;

/// <summary>Source: PTX ISA, "Warp Level Matrix Multiply-Accumulate Instructions".</summary>
internal sealed partial class FunctionDecoder
{
    private void Mma()
    {
        Want("sync");
        Want("aligned");
        var shape = Take("m16n8k4") ? MmaShape.M16N8K4 : Take("m16n8k8") ? MmaShape.M16N8K8 : Take("m16n8k16") ? MmaShape.M16N8K16
            : Take("m8n8k4") ? MmaShape.M8N8K4 : throw Refuse("this shape is not supported");
        Want("row");
        Want("col");
        PtxType d = TakeMatrixType(), a = TakeMatrixType(), b = TakeMatrixType(), c = TakeMatrixType();
        var (countA, countB) = (a, shape) switch
        {
            (PtxType.F16 or PtxType.BF16, MmaShape.M16N8K8) => (2, 1),
            (PtxType.F16 or PtxType.BF16, MmaShape.M16N8K16) => (4, 2),
            (PtxType.TF32, MmaShape.M16N8K4) => (2, 1),
            (PtxType.TF32, MmaShape.M16N8K8) => (4, 2),
            (PtxType.F64, MmaShape.M8N8K4) => (1, 1),
            _ => throw Refuse("this shape has no such type"),
        };
        var accumulator = a switch
        {
            PtxType.F64 => PtxType.F64,
            PtxType.F16 when d == PtxType.F16 => PtxType.F16,
            _ => PtxType.F32,
        };
        if (a != b || d != accumulator || c != accumulator)
            throw Refuse("these types are not supported together");
        var i = Instruction.Create(Opcode.Mma, accumulator);
        i.SourceType = a;
        i.Mode = (byte)shape;
        int count = accumulator is PtxType.F16 or PtxType.F64 ? 2 : 4;
        var part = accumulator switch { PtxType.F16 => PtxType.F16x2, var t => t };
        var factor = a == PtxType.F64 ? PtxType.F64 : PtxType.B32;
        Operands(4);
        BeginList(ref i);
        AddVector(ref i, _p.Operands[0], count, part, true);
        foreach (int slot in _kernel.Operands.Skip(i.List))
        {
            if (slot < 0)
                throw Refuse("all results are wanted");
        }
        AddVector(ref i, _p.Operands[1], countA, factor, false);
        AddVector(ref i, _p.Operands[2], countB, factor, false);
        AddVector(ref i, _p.Operands[3], count, part, false);
        Emit(i);
    }

    private PtxType TakeMatrixType()
    {
        var type = TakeType();
        Allow(type is PtxType.F16 or PtxType.BF16 or PtxType.TF32 or PtxType.F32 or PtxType.F64, type);
        return type;
    }

    private void Ldmatrix() => Matrices(Opcode.Ldmatrix, 0, 1);

    private void Stmatrix() => Matrices(Opcode.Stmatrix, 1, 0);

    private void Matrices(Opcode opcode, int vector, int address)
    {
        Want("sync");
        Want("aligned");
        Want("m8n8");
        var i = Instruction.Create(opcode, PtxType.B16);
        i.Vector = Take("x1") ? (byte)1 : Take("x2") ? (byte)2 : Take("x4") ? (byte)4 : throw Refuse(".x1, .x2 or .x4 is missing");
        i.Flags = Flag("trans", InstructionFlags.Transposed);
        var space = TakeSpace();
        if (space is not (StateSpace.Shared or StateSpace.Generic))
            throw Refuse("matrices are in shared memory");
        Want("b16");
        Operands(2);
        i.Space = SetAddress(ref i, _p.Operands[address], space);
        BeginList(ref i);
        AddVector(ref i, _p.Operands[vector], i.Vector, PtxType.B32, opcode == Opcode.Ldmatrix);
        Emit(i);
    }
}
